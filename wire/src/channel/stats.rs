//! The counts of a channel.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ChannelConfig;

/// The counts of a channel at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChannelStats {
    /// The channel's UID.
    pub uid: Uuid,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The name in the namespace.
    pub name: String,
    /// Ready messages. A message of a message group may have to wait until the group's leased message is gone.
    pub ready: u64,
    /// Leased messages.
    pub leased: u64,
    /// Messages whose delay or back-off has not ended.
    #[serde(default)]
    pub delayed: u64,
    /// Dead letters that are stored in this channel in the state dead.
    #[serde(default)]
    pub dead: u64,
    /// Bytes of the bodies and kept headers of all these messages.
    pub bytes: u64,
    /// Age in seconds of the oldest message that is not dead; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_message_age_seconds: Option<u64>,
    /// Receivers waiting for a message.
    pub waiting_receivers: u64,
    /// Senders waiting for room.
    #[serde(default)]
    pub waiting_senders: u64,
    /// Whether the channel is paused: pulls are answered as if it were empty.
    #[serde(default)]
    pub paused: bool,
}

impl ChannelStats {
    /// The counts of an empty channel.
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
