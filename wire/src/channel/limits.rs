//! The limits of a channel: their type, defaults, bounds and check.

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

/// The limits of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(
    feature = "custom-resource",
    derive(schemars::JsonSchema),
    schemars(default, extend("x-kubernetes-validations" = rules()))
)]
pub struct Limits {
    /// Maximum number of messages in the channel, dead letters included, 1 to 100000000 (default: 100000).
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 1, max = MESSAGES_MAX)))]
    pub messages: u64,
    /// Maximum size of the channel in bytes, 1 to 100Ti (default: 1Gi): bodies and stored headers, Content-Type
    /// included. A message that is larger than this by itself is refused with 413.
    #[cfg_attr(feature = "custom-resource", schemars(extend("format" = "bytes")))]
    pub bytes: u64,
    /// Maximum size of one message's body in bytes, 1 to 16Mi (default: 1Mi). A larger body is refused with 413. Must
    /// be at most `bytes`: if you set `bytes` below 1Mi, set messageBytes too. Stored headers count in `bytes` but not
    /// here, up to 2304 bytes per message (2 KiB, and 4 bytes for each of at most 64 headers). So `bytes` should exceed
    /// messageBytes by 2304 bytes.
    #[cfg_attr(feature = "custom-resource", schemars(extend("format" = "bytes")))]
    pub message_bytes: u64,
    /// Default and maximum time to live of a message, in seconds, 0 to 31536000 (default: 1209600, two weeks). A push
    /// may name a shorter one in Message-TTL; a longer one is refused with 400. 0 means no maximum: messages without a
    /// Message-TTL never expire.
    #[serde(default = "ttl_seconds")]
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = TTL_SECONDS_MAX)))]
    pub ttl_seconds: u32,
    /// Maximum Message-Delay of a push, in seconds, 0 to 31536000 (default: 43200, half a day). A longer delay is
    /// refused with 400.
    #[serde(default = "max_delay_seconds")]
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = DELAY_SECONDS_MAX)))]
    pub max_delay_seconds: u32,
    /// Maximum number of pushed messages per second, 0 to 1000000 (default: 0). Each message of a batch counts. After a
    /// pause, the messages of one second are accepted at once; messages beyond the limit are refused with 429. 0 means
    /// no limit.
    #[serde(default)]
    #[cfg_attr(feature = "custom-resource", schemars(range(min = 0, max = PUSHES_PER_SECOND_MAX)))]
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

/// Two weeks: longer than any holiday, and the maximum retention of SQS.
fn ttl_seconds() -> u32 {
    1_209_600
}

fn max_delay_seconds() -> u32 {
    43_200
}

impl Limits {
    /// Checks every bound.
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

    /// The default time to live of a message, in milliseconds; `None` means no limit.
    pub fn ttl_ms(&self) -> Option<u64> {
        (self.ttl_seconds > 0).then(|| u64::from(self.ttl_seconds) * 1000)
    }
}

/// The same check for an API server: what the bounds of a single number cannot say.
#[cfg(feature = "custom-resource")]
fn rules() -> serde_json::Value {
    serde_json::json!([
        {
            "rule": "quantity(string(self.bytes)).compareTo(quantity('1')) >= 0 && \
                     quantity(string(self.bytes)).compareTo(quantity('100Ti')) <= 0",
            "message": "limits.bytes must be 1 to 100Ti",
        },
        {
            "rule": "quantity(string(self.messageBytes)).compareTo(quantity('1')) >= 0 && \
                     quantity(string(self.messageBytes)).compareTo(quantity('16Mi')) <= 0",
            "message": "limits.messageBytes must be 1 to 16Mi",
        },
        {
            "rule": "quantity(string(self.messageBytes)).compareTo(quantity(string(self.bytes))) <= 0",
            "message": "limits.messageBytes (default: 1Mi) must be at most limits.bytes, or a message of that size \
                        never fits: lower messageBytes, or raise bytes",
        },
    ])
}
