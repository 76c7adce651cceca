//! The entry of a channel, and the outcome of a change.

use std::sync::Arc;

use restante_wire::ChannelConfig;

/// A channel: its configuration and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEntry {
    /// Assigned when the store first sees the channel's UID, and never reused. Records in the log contain it.
    pub number: u32,
    pub config: ChannelConfig,
}

/// The outcome of a change, for the worker threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Channels of the set that are new or changed, or were orphans before.
    pub changed: Vec<Arc<ChannelEntry>>,
    /// Numbers of channels whose source is gone: receivers that wait there get 404. These are the new orphans, and
    /// changed channels with another source.
    pub withdrawn: Vec<u32>,
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
