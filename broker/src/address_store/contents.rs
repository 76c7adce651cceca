//! What the files of the store add up to: changes, one after another, and the contents that they make.

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
use crate::clock::Millis;

/// One change, as it lies on disk. Later versions add kinds and never change one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Change {
    /// The channel is in the set, new or changed or no longer an orphan.
    Put {
        /// The channel's number.
        number: u32,
        /// What is said of it.
        config: Box<ChannelConfig>,
    },
    /// The channel is an orphan.
    Orphan(Uuid),
    /// The channel is gone for ever, and its UID is remembered.
    Delete(Uuid),
    /// A whole set was taken at this time.
    Synced(Millis),
    /// Every number below this one counts as given.
    NextNumber(u32),
}

/// Everything that the store holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) channels: HashMap<Uuid, StoredChannel>,
    pub(super) deleted: Deleted,
    /// The first number that was never given.
    pub(super) next_number: u32,
    /// When a whole set was last taken.
    pub(super) synced_at: Option<Millis>,
}

impl Default for Contents {
    fn default() -> Self {
        // Number 0 is left free: it is what unwritten bytes look like.
        Self { channels: HashMap::new(), deleted: Deleted::default(), next_number: 1, synced_at: None }
    }
}

impl Contents {
    /// Applies a change that was decided when it was written; says so if it cannot have been.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), &'static str> {
        match change {
            Change::Put { number, config } => {
                self.next_number =
                    self.next_number.max(number.checked_add(1).ok_or("a number is too large")?);
                let uid = config.uid;
                self.channels
                    .insert(uid, StoredChannel::in_set(Arc::new(ChannelEntry { number, config: *config })));
            }
            Change::Orphan(uid) => {
                self.channels
                    .get_mut(&uid)
                    .ok_or("it makes an orphan of a channel that was never there")?
                    .orphan = true;
            }
            Change::Delete(uid) => {
                self.channels.remove(&uid);
                self.deleted.remember(uid);
            }
            Change::Synced(at) => self.synced_at = Some(at),
            Change::NextNumber(next) => self.next_number = self.next_number.max(next),
        }
        Ok(())
    }
}

/// The UIDs that were deleted last, at most [`DELETED_REMEMBERED_MAX`].
#[derive(Debug, Default)]
pub(super) struct Deleted {
    order: VecDeque<Uuid>,
    set: HashSet<Uuid>,
}

impl Deleted {
    /// Whether this UID is remembered.
    pub(super) fn contains(&self, uid: Uuid) -> bool {
        self.set.contains(&uid)
    }

    /// Remembers a UID, and forgets the oldest if there are too many.
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

    /// How many more are remembered before the oldest is forgotten.
    pub(super) fn left(&self) -> usize {
        DELETED_REMEMBERED_MAX - self.order.len()
    }

    /// Every one, the oldest first.
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
