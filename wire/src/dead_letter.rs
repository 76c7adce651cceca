//! The causes of dead letters.

use serde::{Deserialize, Serialize};

/// The cause of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeadLetterCause {
    /// The message reached the channel's `maxDeliveries` without a settle.
    MaxDeliveries,
    /// A receiver rejected the message.
    Rejected,
    /// The message's time to live ended.
    Expired,
    /// The broker's disk cannot read the message.
    Unreadable,
}

impl DeadLetterCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::MaxDeliveries, Self::Rejected, Self::Expired, Self::Unreadable];

    /// The cause with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// The cause's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxDeliveries => "max-deliveries",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Unreadable => "unreadable",
        }
    }
}
