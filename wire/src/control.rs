//! Bodies of the control API, with which an operator programs a broker's address store.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Problem, Revision};

/// The state of the address store: the answer to `GET /control/v1/revision` and to every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreState {
    /// A random id from the creation of the data folder: another id means another store.
    pub store_id: Uuid,
    /// The revision of the set of channels, without orphans.
    pub revision: Revision,
    /// When the last sync was applied, RFC 3339; absent before the first sync, when the broker serves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_at: Option<String>,
    /// The number of channels in the set.
    pub channels: u64,
    /// The number of orphans: channels that keep their messages although the set no longer has them.
    pub orphans: u64,
}

/// The body of an error answer of the control API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlProblem {
    /// The members of every error answer.
    #[serde(flatten)]
    pub problem: Problem,
    /// The UID of the channel that the broker refuses, if the problem is one channel: an extension member of RFC 9457.
    /// Without this channel, the broker may accept the rest of a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uuid>,
}

/// The query of `DELETE /control/v1/channels/{uid}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteChannel {
    /// Whether to delete the channel although it holds messages. Otherwise a channel with messages is not deleted.
    #[serde(default)]
    pub force: bool,
}

/// The answer to `DELETE /control/v1/channels/{uid}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelDeleted {
    /// The number of messages that were deleted with the channel: 0 without `force`.
    pub messages: u64,
    /// The state of the address store after the deletion.
    #[serde(flatten)]
    pub store: StoreState,
}

/// The body of `POST /control/v1/channels/{uid}/redrive`. Dead letters become ready again, oldest first, with a
/// delivery count of zero: those in the channel in the state dead, those of the channel in its dead-letter channel, and
/// those of other channels for which this channel is the dead-letter channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redrive {
    /// The target channel; default: the original channel of each dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Uuid>,
    /// The maximum number of dead letters to move; default: all dead letters at the time of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The answer to a [`Redrive`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    /// The number of dead letters that are ready again.
    pub moved: u64,
    /// The number of dead letters that stay dead letters.
    pub left: u64,
    /// Where they are, and why they stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_in: Vec<DeadLettersLeft>,
}

/// Dead letters that a redrive did not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLettersLeft {
    /// The channel in which they are stored, `namespace/name`.
    pub channel: String,
    /// The number of these dead letters.
    pub messages: u64,
    /// Why they stay there.
    pub because: LeftBecause,
}

/// Why a redrive did not move a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftBecause {
    /// The redrive has moved `limit` dead letters.
    Limit,
    /// The target channel is full, or accepts no more messages.
    NoRoom,
    /// A receiver has leased the message from the dead-letter channel.
    Leased,
    /// The original channel does not exist: give `to`.
    OriginUnknown,
    /// The broker's disk cannot read the message.
    Unreadable,
}

impl LeftBecause {
    /// The reason as text for people, about several messages.
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

/// The body of `POST /control/v1/channels/{uid}/purge`, which deletes messages. Leased messages are never purged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Purge {
    /// The states whose messages are deleted.
    pub states: Vec<PurgedState>,
}

/// A state whose messages can be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurgedState {
    /// Ready messages.
    Ready,
    /// Messages whose delay or back-off has not ended.
    Delayed,
    /// Dead letters.
    Dead,
}

/// The answer to a [`Purge`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    /// The number of deleted messages.
    pub purged: u64,
}
