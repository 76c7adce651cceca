//! The limits of a channel.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use restante_wire::channel::{DELAY_SECONDS_MAX, MESSAGES_MAX, PUSHES_PER_SECOND_MAX, TTL_SECONDS_MAX};
use serde::{Deserialize, Serialize};

/// The limits of a channel.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(string(self.bytes)).compareTo(quantity('1')) >= 0 && quantity(string(self.bytes)).compareTo(quantity('100Ti')) <= 0")
        .message("limits.bytes must be 1 to 100Ti"),
    validation = Rule::new("quantity(string(self.messageBytes)).compareTo(quantity('1')) >= 0 && quantity(string(self.messageBytes)).compareTo(quantity('16Mi')) <= 0")
        .message("limits.messageBytes must be 1 to 16Mi"),
    validation = Rule::new("quantity(string(self.messageBytes)).compareTo(quantity(string(self.bytes))) <= 0")
        .message("limits.messageBytes (default: 1Mi) must be at most limits.bytes, or a message of that size never fits: lower messageBytes, or raise bytes"),
)]
pub struct LimitsSpec {
    /// Maximum number of messages in the channel, dead letters included, 1 to 100000000 (default: 100000).
    #[serde(default = "messages")]
    #[schemars(range(min = 1, max = MESSAGES_MAX))]
    pub messages: i64,
    /// Maximum size of the channel in bytes, 1 to 100Ti (default: 1Gi): bodies and stored headers, Content-Type
    /// included. A message that is larger than this by itself is refused with 413.
    #[serde(default = "bytes")]
    #[schemars(schema_with = "crate::quantity::bytes_schema")]
    pub bytes: Quantity,
    /// Maximum size of one message's body in bytes, 1 to 16Mi (default: 1Mi). A larger body is refused with 413. Must
    /// be at most `bytes`: if you set `bytes` below 1Mi, set messageBytes too. Stored headers count in `bytes` but not
    /// here, up to 2304 bytes per message (2 KiB, and 4 bytes for each of at most 64 headers). So `bytes` should exceed
    /// messageBytes by 2304 bytes.
    #[serde(default = "message_bytes")]
    #[schemars(schema_with = "crate::quantity::bytes_schema")]
    pub message_bytes: Quantity,
    /// Default and maximum time to live of a message, in seconds, 0 to 31536000 (default: 1209600, two weeks). A push
    /// may name a shorter one in Message-TTL; a longer one is refused with 400. 0 means no maximum: messages without a
    /// Message-TTL never expire.
    #[serde(default = "ttl_seconds")]
    #[schemars(range(min = 0, max = TTL_SECONDS_MAX))]
    pub ttl_seconds: i32,
    /// Maximum Message-Delay of a push, in seconds, 0 to 31536000 (default: 43200, half a day). A longer delay is
    /// refused with 400.
    #[serde(default = "max_delay_seconds")]
    #[schemars(range(min = 0, max = DELAY_SECONDS_MAX))]
    pub max_delay_seconds: i32,
    /// Maximum number of pushed messages per second, 0 to 1000000 (default: 0). Each message of a batch counts. After a
    /// pause, the messages of one second are accepted at once; messages beyond the limit are refused with 429. 0 means
    /// no limit.
    #[serde(default)]
    #[schemars(range(min = 0, max = PUSHES_PER_SECOND_MAX))]
    pub pushes_per_second: i32,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self {
            messages: messages(),
            bytes: bytes(),
            message_bytes: message_bytes(),
            ttl_seconds: ttl_seconds(),
            max_delay_seconds: max_delay_seconds(),
            pushes_per_second: 0,
        }
    }
}

fn messages() -> i64 {
    100_000
}

fn bytes() -> Quantity {
    Quantity("1Gi".into())
}

fn message_bytes() -> Quantity {
    Quantity("1Mi".into())
}

/// Two weeks: longer than any holiday, and the longest retention of SQS.
fn ttl_seconds() -> i32 {
    1_209_600
}

fn max_delay_seconds() -> i32 {
    43_200
}
