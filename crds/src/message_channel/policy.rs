//! Words of a channel's spec.

use restante_wire::channel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a message whose time is over.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expired {
    /// It goes.
    #[default]
    Drop,
    /// It becomes a dead letter.
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

/// What becomes of a push when the channel is full.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused.
    #[default]
    Reject,
    /// The ready messages that were stored first make room for it.
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

/// What a 201 promises.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The message is on disk.
    #[default]
    Fsync,
    /// The message is in memory: it is there until the broker stops.
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
    /// The channel stays, and goes on as it was, until it is empty.
    #[default]
    Block,
    /// The channel takes no more messages, and stays until it is empty.
    Drain,
    /// The messages go with the channel.
    Delete,
}
