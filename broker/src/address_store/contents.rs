//! The changes in the store's files, and the contents that they produce when applied one after another.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use restante_wire::ChannelConfig;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    DELETED_REMEMBERED_MAX,
    entry::{ChannelEntry, StoredChannel},
};
use crate::{clock::Millis, log::ChannelId};

/// A change in the store's files. Later versions add kinds and never change one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Change {
    /// The channel is in the set: new, changed, or no longer an orphan.
    Put { id: ChannelId, config: Box<ChannelConfig> },
    /// The channel is an orphan.
    Orphan(Uuid),
    /// The channel is deleted permanently, and its UID is remembered.
    Delete(Uuid),
    /// A whole set was applied at this time.
    Synced(Millis),
}

/// The contents of the store.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) channels: HashMap<Uuid, StoredChannel>,
    pub(super) deleted: Deleted,
    /// When a whole set was last applied.
    pub(super) synced_at: Option<Millis>,
}

impl Contents {
    /// Applies a change. Fails if the change is impossible in this state.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), &'static str> {
        match change {
            Change::Put { id, config } => {
                let uid = config.uid;
                self.channels
                    .insert(uid, StoredChannel::in_set(Arc::new(ChannelEntry { id, config: *config })));
            }
            Change::Orphan(uid) => {
                self.channels
                    .get_mut(&uid)
                    .ok_or("it makes an orphan of a channel that does not exist")?
                    .orphan = true;
            }
            Change::Delete(uid) => {
                self.channels.remove(&uid);
                self.deleted.remember(uid);
            }
            Change::Synced(at) => self.synced_at = Some(at),
        }
        Ok(())
    }
}

/// The most recently deleted UIDs, at most [`DELETED_REMEMBERED_MAX`].
#[derive(Debug, Default)]
pub(super) struct Deleted {
    order: VecDeque<Uuid>,
    set: HashSet<Uuid>,
}

impl Deleted {
    pub(super) fn contains(&self, uid: Uuid) -> bool {
        self.set.contains(&uid)
    }

    /// Remembers a UID, and forgets the oldest one above the limit.
    pub(super) fn remember(&mut self, uid: Uuid) {
        if !self.set.insert(uid) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > DELETED_REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    /// How many more UIDs fit before the oldest is forgotten.
    pub(super) fn room(&self) -> usize {
        DELETED_REMEMBERED_MAX - self.order.len()
    }

    /// All remembered UIDs, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Uuid> {
        self.order.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_deleted_uids_are_remembered() {
        let mut deleted = Deleted::default();
        for number in 0..=DELETED_REMEMBERED_MAX as u128 {
            deleted.remember(Uuid::from_u128(number));
            deleted.remember(Uuid::from_u128(number));
        }
        assert!(!deleted.contains(Uuid::from_u128(0)));
        assert!(deleted.contains(Uuid::from_u128(1)));
        assert!(deleted.contains(Uuid::from_u128(DELETED_REMEMBERED_MAX as u128)));
        assert_eq!(deleted.iter().count(), DELETED_REMEMBERED_MAX);
    }
}
