//! A channel as the store knows it, and what a change did.

use std::sync::Arc;

use restante_wire::ChannelConfig;

/// A channel: what was said of it, and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEntry {
    /// Given when the store first saw the channel's UID, and never given again; records in the log carry it.
    pub number: u32,
    /// What was last said of the channel.
    pub config: ChannelConfig,
}

/// What a change did, for the core to act on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Channels of the set that are new, changed, or back from being orphans.
    pub changed: Vec<Arc<ChannelEntry>>,
    /// Numbers of the channels whose source is no longer where it was: receivers that wait there get 404. They are the
    /// new orphans, and the changed channels that moved to another source.
    pub withdrawn: Vec<u32>,
}

/// A channel in the store, in the set or as an orphan.
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
