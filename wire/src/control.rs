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

/// The body of `POST /control/v1/channels/{uid}/redrive`: dead letters become ready again, oldest first, with a delivery
/// count of zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redrive {
    /// The channel that they go to; absent, their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Uuid>,
    /// How many at the most; absent, all that are there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    /// Dead letters that are ready again.
    pub moved: u64,
    /// Dead letters that are left.
    pub left: u64,
}

/// The body of `POST /control/v1/channels/{uid}/purge`: messages go for ever. Leased ones are never purged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Purge {
    /// Of which states.
    pub states: Vec<PurgedState>,
}

/// A state whose messages can be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurgedState {
    /// Those that the next pulls would get.
    Ready,
    /// Those whose delay or back-off is not over.
    Delayed,
    /// Dead letters.
    Dead,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    /// Messages that are gone.
    pub purged: u64,
}
