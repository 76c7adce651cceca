//! The policies of a channel's configuration.

use serde::{Deserialize, Serialize};

/// What happens to an expired message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "custom-resource", derive(schemars::JsonSchema))]
pub enum Expired {
    /// The message is removed.
    #[default]
    Drop,
    /// The message becomes a dead letter.
    DeadLetter,
}

/// What happens to a push when the channel is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "custom-resource", derive(schemars::JsonSchema))]
pub enum WhenFull {
    /// The push is refused.
    #[default]
    Reject,
    /// The oldest ready messages are dropped to make room, never a leased, delayed or dead one.
    DropOldest,
}

/// The durability of a stored message, in the header `Message-Durability`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "custom-resource", derive(schemars::JsonSchema))]
pub enum Durability {
    /// On disk: `fdatasync` returned before the answer was sent.
    #[default]
    Fsync,
    /// In memory: the message is there until the broker stops.
    Memory,
}

impl Durability {
    /// The value in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Memory => "memory",
        }
    }
}
