//! The status of a channel.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The status of a channel, as observed by its operator.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MessageChannelStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted: the spec is valid, no other channel has its addresses, and its dead-letter channel, if any, exists and
    /// leads to no cycle. Programmed: the broker has this generation of the channel. Ready: the broker serves the
    /// channel, and Accepted and Programmed are True. DeletionBlocked: a deletion waits, and the message says for what.
    /// Stalled: only an edit of the channel helps, or it has waited for two minutes for another object, such as its
    /// broker, its dead-letter channel or the channel that has its address.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::condition::lenient_list"
    )]
    #[schemars(schema_with = "crate::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// The MessageBroker that stores the channel and its messages: `<namespace>/<name>`. A channel without
    /// spec.brokerRef.namespace stays with the broker named here, even after the operator of that broker is
    /// uninstalled. If it has neither spec.brokerRef.namespace nor status.broker, the channel belongs to the default
    /// operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 104))]
    pub broker: Option<String>,
    /// The absolute address to which senders push. If there are several, the first, and how many more: acme/orders,+2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 260))]
    pub destination: Option<String>,
    /// The absolute address from which receivers pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub source: Option<String>,
    /// The URL to which senders POST messages. If there are several destinations, the URL of the first.
    #[serde(default, rename = "pushURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub push_url: Option<String>,
    /// The URL from which receivers GET messages.
    #[serde(default, rename = "pullURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub pull_url: Option<String>,
    /// Approximate numbers of messages and receivers, at most a minute old. Absent if the operator cannot manage the
    /// MessageBroker, or if the broker has not answered for two minutes. The metrics have the exact numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<Backlog>,
}

/// Numbers of messages and receivers of a channel, with two significant digits.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Messages that are not settled yet: ready, leased and delayed. Dead letters do not count.
    pub messages: i64,
    /// Messages that are ready for delivery.
    pub ready: i64,
    /// Messages that are leased by receivers.
    pub leased: i64,
    /// Messages that wait for the end of their delay or back-off (default: 0).
    #[serde(default)]
    pub delayed: i64,
    /// Dead letters in this channel (default: 0).
    #[serde(default)]
    pub dead: i64,
    /// Waiting receivers.
    pub waiting: i64,
    /// Age of the oldest message, dead letters excluded: <1m, <5m, <15m, <1h, <6h, <1d or ≥1d. Absent without messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub oldest: Option<String>,
}
