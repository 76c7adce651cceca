//! The policies of a channel's configuration.

use serde::{Deserialize, Serialize};

/// The order in which messages are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The oldest ready message is next; any number of messages can be leased at once.
    #[default]
    Fifo,
    /// The whole channel is one message group: one message is leased at a time, and the next one follows when it is
    /// gone.
    Strict,
}

/// What happens to an expired message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expired {
    /// The message is removed.
    #[default]
    Drop,
    /// The message becomes a dead letter.
    DeadLetter,
}

/// What happens to a push when the channel is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenFull {
    /// The push is refused.
    #[default]
    Reject,
    /// The oldest ready messages are dropped to make room, never a leased, delayed or dead one.
    DropOldest,
}

/// How the back-off grows with the number of deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackoffPolicy {
    /// The pause doubles with each delivery.
    #[default]
    Exponential,
    /// The pause is always the same.
    Constant,
}

/// The pause after a release before the message is ready again, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backoff {
    /// How the pause grows.
    pub policy: BackoffPolicy,
    /// The pause after the first delivery; 0 means that there is never a pause.
    pub initial_seconds: u32,
    /// The maximum pause.
    pub max_seconds: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { policy: BackoffPolicy::default(), initial_seconds: 1, max_seconds: 300 }
    }
}

impl Backoff {
    /// The pause after this number of deliveries, in seconds. It is 0 for no deliveries: such a delivery did not count.
    pub fn seconds(&self, deliveries: u32) -> u32 {
        let factor = match self.policy {
            _ if deliveries == 0 => 0,
            BackoffPolicy::Constant => 1,
            BackoffPolicy::Exponential => 1_u32.checked_shl(deliveries - 1).unwrap_or(u32::MAX),
        };
        self.initial_seconds.saturating_mul(factor).min(self.max_seconds)
    }
}

/// The durability of a stored message, in the header `Message-Durability`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_with_each_delivery_up_to_the_maximum() {
        let backoff = Backoff { policy: BackoffPolicy::Exponential, initial_seconds: 2, max_seconds: 10 };
        let pauses: Vec<_> =
            [0, 1, 2, 3, 4, 40, u32::MAX].map(|deliveries| backoff.seconds(deliveries)).into();
        assert_eq!(pauses, [0, 2, 4, 8, 10, 10, 10]);
        let constant = Backoff { policy: BackoffPolicy::Constant, ..backoff };
        assert_eq!([0, 1, 7].map(|deliveries| constant.seconds(deliveries)), [0, 2, 2]);
    }
}
