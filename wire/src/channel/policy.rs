//! Words of a channel's configuration.

use serde::{Deserialize, Serialize};

/// In which order messages are handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The ready message that was stored first is next; any number are leased at once.
    #[default]
    Fifo,
    /// The whole channel is one group: one message is leased at a time, and the next follows when it is gone.
    Strict,
}

/// What becomes of a message whose time is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expired {
    /// It goes.
    #[default]
    Drop,
    /// It becomes a dead letter.
    DeadLetter,
}

/// What becomes of a push when the channel is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenFull {
    /// It is refused.
    #[default]
    Reject,
    /// The ready messages that were stored first make room for it: never a leased, delayed or dead one.
    DropOldest,
}

/// How the pause grows before a message that was given back is handed out again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackoffPolicy {
    /// It doubles with each delivery.
    #[default]
    Exponential,
    /// It stays as it is.
    Constant,
}

/// The pause before a message that was given back is handed out again, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backoff {
    /// How it grows.
    pub policy: BackoffPolicy,
    /// The pause after the first delivery; 0 means none, ever.
    pub initial_seconds: u32,
    /// The longest pause.
    pub max_seconds: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { policy: BackoffPolicy::default(), initial_seconds: 1, max_seconds: 300 }
    }
}

impl Backoff {
    /// The pause after a message was delivered so often, in seconds. None before the first: such a hand-out did not count.
    pub fn seconds(&self, deliveries: u32) -> u32 {
        let factor = match self.policy {
            _ if deliveries == 0 => 0,
            BackoffPolicy::Constant => 1,
            BackoffPolicy::Exponential => 1_u32.checked_shl(deliveries - 1).unwrap_or(u32::MAX),
        };
        self.initial_seconds.saturating_mul(factor).min(self.max_seconds)
    }
}

/// What a 201 promises, in the header `Message-Durability`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// On disk: `fdatasync` returned before the answer was sent.
    #[default]
    Fsync,
    /// In memory: the message is there until the broker stops.
    Memory,
}

impl Durability {
    /// The word in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Memory => "memory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_with_each_delivery_up_to_the_longest() {
        let backoff = Backoff { policy: BackoffPolicy::Exponential, initial_seconds: 2, max_seconds: 10 };
        let pauses: Vec<_> =
            [0, 1, 2, 3, 4, 40, u32::MAX].map(|deliveries| backoff.seconds(deliveries)).into();
        assert_eq!(pauses, [0, 2, 4, 8, 10, 10, 10]);
        let constant = Backoff { policy: BackoffPolicy::Constant, ..backoff };
        assert_eq!([0, 1, 7].map(|deliveries| constant.seconds(deliveries)), [0, 2, 2]);
    }
}
