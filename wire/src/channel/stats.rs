//! A channel's counts.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ChannelConfig;

/// A channel's counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChannelStats {
    /// The channel's identity.
    pub uid: Uuid,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The name in the namespace.
    pub name: String,
    /// Messages that nobody has and that are due. One of a group may wait for its turn.
    pub ready: u64,
    /// Messages that receivers have leased.
    pub leased: u64,
    /// Messages whose delay or back-off is not over.
    #[serde(default)]
    pub delayed: u64,
    /// Dead letters.
    #[serde(default)]
    pub dead: u64,
    /// Bytes of contents and kept headers of all four.
    pub bytes: u64,
    /// Seconds since the oldest message was stored that is no dead letter; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_message_age_seconds: Option<u64>,
    /// Receivers that wait for a message.
    pub waiting_receivers: u64,
    /// Senders that wait for room.
    #[serde(default)]
    pub waiting_senders: u64,
    /// Whether pulls are answered as if the channel were empty.
    #[serde(default)]
    pub paused: bool,
}

impl ChannelStats {
    /// The counts of a channel that nothing happens in.
    pub fn empty(config: &ChannelConfig) -> Self {
        Self {
            uid: config.uid,
            namespace: config.namespace.clone(),
            name: config.name.clone(),
            ready: 0,
            leased: 0,
            delayed: 0,
            dead: 0,
            bytes: 0,
            oldest_message_age_seconds: None,
            waiting_receivers: 0,
            waiting_senders: 0,
            paused: config.paused,
        }
    }

    /// Messages in the channel, whatever their state.
    pub fn messages(&self) -> u64 {
        self.ready + self.leased + self.delayed + self.dead
    }
}
