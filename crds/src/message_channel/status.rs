//! What the operator tells of a channel.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells of a channel.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MessageChannelStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, Programmed, Ready, while it is deleted DeletionBlocked, and Stalled when waiting is in vain.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::condition::readable")]
    #[schemars(schema_with = "crate::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// The MessageBroker that has the channel, and its messages: `<namespace>/<name>`. A channel that names no namespace in
    /// spec.brokerRef stays with it when its operator is uninstalled. Without this field the default operator takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 104))]
    pub broker: Option<String>,
    /// The absolute address where messages are sent. Of several the first, and how many more spec.destinations has:
    /// acme/orders,+2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 260))]
    pub destination: Option<String>,
    /// The absolute address where messages are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub source: Option<String>,
    /// The URL to POST to, of the first destination.
    #[serde(default, rename = "pushURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub push_url: Option<String>,
    /// The URL to GET from.
    #[serde(default, rename = "pullURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub pull_url: Option<String>,
    /// What is in the channel, roughly and at most a minute old. Absent while the operator cannot ask the broker: at once when
    /// it cannot serve the broker, and after two minutes without an answer. The exact numbers are metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
}

/// What is in a channel. Numbers have two significant digits.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Messages that receivers still have to settle: ready, leased and delayed. Dead letters are not among them.
    pub messages: i64,
    /// Messages that the next pulls get.
    pub ready: i64,
    /// Messages that receivers have leased.
    pub leased: i64,
    /// Messages whose delay or back-off is not over (default: 0).
    #[serde(default)]
    pub delayed: i64,
    /// Dead letters (default: 0).
    #[serde(default)]
    pub dead: i64,
    /// Receivers that wait for a message.
    pub waiting: i64,
    /// Since when the oldest message is there that is no dead letter: <1m, <5m, <15m, <1h, <6h, <1d or ≥1d. Absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub oldest: Option<String>,
}
