//! The dead-letter settings of a channel.

use kube::KubeSchema;
use restante_wire::channel::{NAME_BYTES_MAX, TTL_SECONDS_MAX};
use serde::{Deserialize, Serialize};

/// Where dead letters go: messages that reached the delivery limit or that a receiver rejected, and with
/// `expired: DeadLetter` also expired messages.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterSpec {
    /// The dead-letter channel. A message that becomes a dead letter moves there at once. If no dead-letter channel is
    /// named, or if it is missing, full or being deleted at that moment, the message stays in its own channel, in the
    /// state dead, until it is redriven or purged, or `ttlSeconds` ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_ref: Option<ChannelRef>,
    /// How long a dead letter stays in its own channel before the broker deletes it, in seconds, 0 to 31536000
    /// (default: 0). 0 means without limit.
    #[serde(default)]
    #[schemars(range(min = 0, max = TTL_SECONDS_MAX))]
    pub ttl_seconds: i32,
}

/// A reference to another MessageChannel in the same namespace and at the same broker.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ChannelRef {
    /// The MessageChannel's name.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}
