//! The policies of a channel's spec.

use restante_wire::channel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to an expired message.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expired {
    /// The message is deleted.
    #[default]
    Drop,
    /// The message becomes a dead letter.
    DeadLetter,
}

impl From<Expired> for channel::Expired {
    fn from(expired: Expired) -> Self {
        match expired {
            Expired::Drop => Self::Drop,
            Expired::DeadLetter => Self::DeadLetter,
        }
    }
}

/// What happens to a push when the channel is full.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The push is refused.
    #[default]
    Reject,
    /// The broker deletes the oldest ready messages to make room.
    DropOldest,
}

impl From<WhenFull> for channel::WhenFull {
    fn from(when_full: WhenFull) -> Self {
        match when_full {
            WhenFull::Reject => Self::Reject,
            WhenFull::DropOldest => Self::DropOldest,
        }
    }
}

/// What a 201 guarantees.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The message is on disk.
    #[default]
    Fsync,
    /// The message is in memory, until the broker stops.
    Memory,
}

impl From<Durability> for channel::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self::Fsync,
            Durability::Memory => Self::Memory,
        }
    }
}

/// What happens to the messages when the channel is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The channel stays in service until it is empty.
    #[default]
    Block,
    /// The channel accepts no more messages, and stays until it is empty.
    Drain,
    /// The messages are deleted with the channel.
    Delete,
}
