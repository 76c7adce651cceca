//! The limits of a channel and its messages: their type, defaults, bounds and check.

use serde::{Deserialize, Serialize};

use super::check::{Checked, at_most};

/// The maximum of a channel's `limits.messages`.
pub const MESSAGES_MAX: u64 = 100_000_000;
/// The maximum of a channel's `limits.messageBytes`: 16 MiB.
pub const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The maximum time to live of a message, in seconds: a year.
pub const TTL_SECONDS_MAX: u32 = 31_536_000;
/// The maximum delay of a message, in seconds: a year, like its maximum time to live.
pub const DELAY_SECONDS_MAX: u32 = TTL_SECONDS_MAX;
/// The maximum of a channel's `limits.pushesPerSecond`: far more than one worker can process.
pub const PUSHES_PER_SECOND_MAX: u32 = 1_000_000;

/// The limits of a channel and its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The maximum number of messages, in any state.
    pub messages: u64,
    /// The maximum size of all bodies and kept headers, in bytes.
    pub bytes: u64,
    /// The maximum size of one message's body, in bytes.
    pub message_bytes: u64,
    /// The default and maximum time to live of a message, in seconds; 0 means no limit.
    #[serde(default = "ttl_seconds")]
    pub ttl_seconds: u32,
    /// The maximum delay of a message, in seconds.
    #[serde(default = "max_delay_seconds")]
    pub max_delay_seconds: u32,
    /// The maximum number of pushes per second, with bursts of the same size; 0 means no limit.
    #[serde(default)]
    pub pushes_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 100_000,
            bytes: 1 << 30,
            message_bytes: 1 << 20,
            ttl_seconds: ttl_seconds(),
            max_delay_seconds: max_delay_seconds(),
            pushes_per_second: 0,
        }
    }
}

impl Limits {
    /// The default time to live of a message, in milliseconds; `None` means no limit.
    pub fn ttl_ms(&self) -> Option<u64> {
        (self.ttl_seconds > 0).then(|| u64::from(self.ttl_seconds) * 1000)
    }

    pub(super) fn check(&self) -> Checked {
        if self.messages == 0 || self.messages > MESSAGES_MAX {
            return Err(("limits.messages", format!("must be 1 to {MESSAGES_MAX}")));
        }
        if self.bytes == 0 {
            return Err(("limits.bytes", "must be at least 1".into()));
        }
        if self.message_bytes == 0 || self.message_bytes > MESSAGE_BYTES_MAX {
            return Err(("limits.messageBytes", format!("must be 1 to {MESSAGE_BYTES_MAX} (16 MiB)")));
        }
        if self.message_bytes > self.bytes {
            return Err(("limits.messageBytes", format!("must be at most limits.bytes, {}", self.bytes)));
        }
        at_most("limits.ttlSeconds", self.ttl_seconds, TTL_SECONDS_MAX)?;
        at_most("limits.maxDelaySeconds", self.max_delay_seconds, DELAY_SECONDS_MAX)?;
        at_most("limits.pushesPerSecond", self.pushes_per_second, PUSHES_PER_SECOND_MAX)
    }
}

/// Two weeks: longer than any holiday, and the maximum retention of SQS.
fn ttl_seconds() -> u32 {
    1_209_600
}

fn max_delay_seconds() -> u32 {
    43_200
}
