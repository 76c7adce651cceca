//! Where messages of a channel go that nobody settles.

use kube::KubeSchema;
use restante_wire::channel::{NAME_BYTES_MAX, TTL_SECONDS_MAX};
use serde::{Deserialize, Serialize};

/// Where messages go that nobody settles: those that were delivered too often, those that a receiver rejected, and with
/// `expired: DeadLetter` those whose time is over.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterSpec {
    /// The channel that takes them. Without one, and while that one does not exist or has no room, they stay in their
    /// own channel, dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_ref: Option<ChannelRef>,
    /// How long dead letters stay in their own channel before they go for ever, in seconds, 0 to 31536000 (default: 0).
    /// 0 means for ever.
    #[serde(default)]
    #[schemars(range(min = 0, max = TTL_SECONDS_MAX))]
    pub ttl_seconds: i32,
}

/// Another MessageChannel of the same namespace and of the same broker.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ChannelRef {
    /// The MessageChannel's name.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}
