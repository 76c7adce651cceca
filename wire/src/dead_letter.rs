//! Why a message is a dead letter.

use serde::{Deserialize, Serialize};

/// Why a message is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeadLetterCause {
    /// It was delivered as often as the channel allows, and never settled.
    MaxDeliveries,
    /// A receiver rejected it.
    Rejected,
    /// Its time was over.
    Expired,
    /// The broker's disk cannot read it.
    Unreadable,
}

impl DeadLetterCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::MaxDeliveries, Self::Rejected, Self::Expired, Self::Unreadable];

    /// The cause of this name.
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
