//! Bodies of the control API, by which an operator fills a broker's address store.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Revision;

/// What the address store holds: the answer to `GET /control/v1/revision` and to every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreState {
    /// Drawn when the data folder was made: another one means another disk.
    pub store_id: Uuid,
    /// The set of channels, orphans not counted.
    pub revision: Revision,
    /// When a whole set was last taken, RFC 3339; absent when never, and then the broker serves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<String>,
    /// Channels in the set.
    pub channels: u64,
    /// Channels that hold on to their messages though the set no longer has them.
    pub orphans: u64,
}

/// The query of `DELETE /control/v1/channels/{uid}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteChannel {
    /// Delete the channel although it holds messages. Without it, a channel with messages is refused.
    #[serde(default)]
    pub force: bool,
}

/// The answer to `DELETE /control/v1/channels/{uid}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelDeleted {
    /// Messages that went with it: none without `force`.
    pub messages: u64,
    /// What the store holds now.
    #[serde(flatten)]
    pub store: StoreState,
}
