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
/// count of zero: those that are dead in the channel, those of it that lie in its dead-letter channel, and those of others that
/// lie in it as in theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redrive {
    /// The channel that they go to; absent, the one that gave each up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Uuid>,
    /// How many at the most; absent, all that are there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The answer to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    /// Dead letters that are ready again.
    pub moved: u64,
    /// Dead letters that are left.
    pub left: u64,
    /// Where they are, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_in: Vec<LettersLeft>,
}

/// Dead letters that a redrive left where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LettersLeft {
    /// The channel that they lie in, `namespace/name`.
    pub channel: String,
    /// How many.
    pub messages: u64,
    /// Why.
    pub because: LeftBecause,
}

/// Why a redrive left a dead letter where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftBecause {
    /// `limit` letters were moved.
    Limit,
    /// The channel that it would go to is full, or takes no messages any more.
    NoRoom,
    /// A receiver has it: its lease ends first.
    Leased,
    /// The channel that gave it up is not there: say `to`.
    OriginUnknown,
    /// The broker's disk cannot read it.
    Unreadable,
}

impl LeftBecause {
    /// Why, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "the limit was reached",
            Self::NoRoom => "their target channel has no room",
            Self::Leased => "receivers have leased them",
            Self::Unreadable => "the broker's disk cannot read them",
            Self::OriginUnknown => "the channel that they came from no longer exists; name another with --to",
        }
    }
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
