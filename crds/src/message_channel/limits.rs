//! What a channel holds at the most.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What a channel holds at the most.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(string(self.bytes)).compareTo(quantity('1')) >= 0 && quantity(string(self.bytes)).compareTo(quantity('100Ti')) <= 0")
        .message("limits.bytes must be 1 to 100Ti"),
    validation = Rule::new("quantity(string(self.messageBytes)).compareTo(quantity('1')) >= 0 && quantity(string(self.messageBytes)).compareTo(quantity('16Mi')) <= 0")
        .message("limits.messageBytes must be 1 to 16Mi"),
)]
pub struct LimitsSpec {
    /// Messages in the channel, ready and leased, 1 to 100000000 (default: 100000).
    #[serde(default = "messages")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub messages: i64,
    /// Bytes of their contents and kept headers, 1 to 100Ti (default: 1Gi).
    #[serde(default = "bytes")]
    #[schemars(schema_with = "crate::quantity::bytes_schema")]
    pub bytes: Quantity,
    /// Bytes of one message's content, 1 to 16Mi (default: 1Mi). A larger push is refused with 413.
    #[serde(default = "message_bytes")]
    #[schemars(schema_with = "crate::quantity::bytes_schema")]
    pub message_bytes: Quantity,
}

impl Default for LimitsSpec {
    fn default() -> Self {
        Self { messages: messages(), bytes: bytes(), message_bytes: message_bytes() }
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
