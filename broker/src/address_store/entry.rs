//! The entry of a channel, and the outcome of a change.

use std::sync::Arc;

use restante_wire::ChannelConfig;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::log::ChannelId;

/// A channel: its configuration and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEntry {
    /// Derived from the UID when the store first sees it, so that every broker assigns the same id; an orphan from the
    /// log keeps the id of its records.
    pub id: ChannelId,
    pub config: ChannelConfig,
}

impl ChannelEntry {
    /// A new channel, with the id of its UID.
    pub fn new(config: ChannelConfig) -> Self {
        Self { id: id_of(config.uid), config }
    }
}

/// The first 8 bytes of SHA-256 of a UID. Two of a million channels have the same id in one of 37 million stores; a
/// channel whose id is taken is refused.
pub(super) fn id_of(uid: Uuid) -> ChannelId {
    let digest = Sha256::digest(uid.as_bytes());
    ChannelId(u64::from_le_bytes(std::array::from_fn(|index| digest[index])))
}

/// The outcome of a change, for the worker threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Channels of the set that are new or changed, or were orphans before.
    pub changed: Vec<Arc<ChannelEntry>>,
    /// Ids of channels whose source is gone: receivers that wait there get 404. These are the new orphans, and
    /// changed channels with another source.
    pub withdrawn: Vec<ChannelId>,
}

/// A channel in the store: in the set, or an orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredChannel {
    pub(super) entry: Arc<ChannelEntry>,
    pub(super) orphan: bool,
}

impl StoredChannel {
    pub(super) fn in_set(entry: Arc<ChannelEntry>) -> Self {
        Self { entry, orphan: false }
    }

    pub(super) fn orphan(entry: Arc<ChannelEntry>) -> Self {
        Self { entry, orphan: true }
    }
}
