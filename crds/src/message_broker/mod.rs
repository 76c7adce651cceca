//! `MessageBroker`: the broker that channels live in.

mod storage;
mod template;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use storage::{AccessMode, Storage};
pub use template::{
    LocalReference, PodSecurity, PodTemplate, PullPolicy, Resources, Toleration, TolerationEffect,
    TolerationOperator,
};

/// A broker: the operator keeps a StatefulSet, its Services, its credential and its volume for it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "restante.dev",
    version = "v1alpha1",
    kind = "MessageBroker",
    namespaced,
    status = "MessageBrokerStatus",
    shortname = "mb",
    category = "restante",
    derive = "PartialEq",
    cel,
    doc = "A broker: the operator keeps a StatefulSet, its Services, its credential and its volume for it.",
    validation = Rule::new("size(self.metadata.name) <= 40 && !self.metadata.name.contains('.')")
        .message("metadata.name must be one DNS label of at most 40 characters, without dots"),
    // The objects of MessageBroker x are called restante-x, restante-x-headless and restante-x-control.
    validation = Rule::new("!self.metadata.name.endsWith('-headless') && !self.metadata.name.endsWith('-control')")
        .message("metadata.name must not end with -headless or -control: another MessageBroker's objects are called so"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Channels", type_ = "integer", json_path = ".status.channels"),
    printcolumn(name = "Orphans", type_ = "integer", json_path = ".status.orphans"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = 1),
    printcolumn(
        name = "Storage Differs",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="StorageDiffers")].status"#,
        priority = 1
    ),
    printcolumn(
        name = "Store Replaced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="StoreReplaced")].status"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.engine.embedded) || self.replicas == 1")
        .message("replicas must be 1 with the embedded engine: one pod owns the volume"),
    validation = Rule::new(
        "!has(self.trustedProxies) || self.trustedProxies.all(c, isIP(c) || (isCIDR(c) && cidr(c) == cidr(c).masked()))"
    )
        .message("trustedProxies must be addresses, or networks such as 10.0.0.0/8 or fd00::/8 without bits beyond their prefix"),
)]
pub struct MessageBrokerSpec {
    /// Where messages are kept (default: the embedded engine with a volume of 10Gi).
    #[serde(default)]
    pub engine: Engine,
    /// Broker pods (default: 1). The embedded engine has one.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: i32,
    /// What clients outside the cluster use, such as https://mq.example.com or https://example.com/mq; the URLs in the status
    /// of channels are made from it (default: the Service in the cluster). Its host is ASCII, and its path needs no encoding.
    #[serde(default, rename = "externalURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 1024),
        regex(
            pattern = r"^https?://([-A-Za-z0-9_.]{1,253}|\[[0-9A-Fa-f:.]+\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/\.{0,2}[-A-Za-z0-9_~][-A-Za-z0-9._~]*)*/?$"
        )
    )]
    pub external_url: Option<String>,
    /// Further names by which clients call the broker, at most 16. On an open broker a request's `Host` is an IP address,
    /// localhost, a name of the Service, the host of the externalURL, or one of these; any other is refused with 403, so
    /// that no web page can reach the broker by a name of its own. `*` allows any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_hosts: Vec<String>,
    /// Web origins whose pages may use an open broker, such as https://app.example.com, at most 16; `*` allows any. A
    /// request with any other `Origin` is refused with 403.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 267),
            regex(pattern = r"^(\*|https?://[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?)$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_origins: Vec<String>,
    /// Networks, or single addresses, of the proxies in front of the broker, such as 10.0.0.0/8, at most 64. What they say in X-Forwarded-For and
    /// X-Forwarded-Prefix is believed; what any other client says there is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 2, max = 49), regex(pattern = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub trusted_proxies: Vec<String>,
    /// How long a connection may be idle between two requests, in seconds, 1 to 86400 (default: 620). Longer than the balancer
    /// in front of the broker keeps its own, so that the balancer closes them and not the broker.
    #[serde(default = "keep_alive_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub keep_alive_seconds: i32,
    /// What the broker pods are given.
    #[serde(default)]
    pub template: PodTemplate,
}

/// Where messages are kept.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// A log on a volume of the broker's own.
    pub embedded: Embedded,
}

impl Default for Engine {
    fn default() -> Self {
        Self { embedded: Embedded { cores: cores(), storage: Storage::default() } }
    }
}

/// The embedded engine: a log on a volume of the broker's own.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Embedded {
    /// How many cores take and give messages, 1 to 64 (default: 1). Each has a part of the channels, and on the volume a log
    /// of its own, of four segments of 64Mi at least; its container needs as much CPU. May be changed: the pod starts again,
    /// and keeps what it has.
    #[serde(default = "cores")]
    #[schemars(range(min = 1, max = 64))]
    pub cores: i32,
    /// The volume.
    #[serde(default)]
    pub storage: Storage,
}

/// What the operator tells of a broker.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MessageBrokerStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, StorageDiffers, StoreReplaced, DefaultDiffers while the values of the default broker are refused, and Stalled
    /// when waiting is in vain.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::condition::readable")]
    #[schemars(schema_with = "crate::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// What the URLs of channels begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
    /// Broker pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Channels in the broker's address store, as it was up to half a minute ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<i64>,
    /// Channels whose messages the broker keeps though nothing asks for them any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<i64>,
    /// The revision of the broker's address store: the sum of the hashes of its channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address_revision: Option<String>,
    /// The broker's data folder, as it was first seen or last accepted. When the broker shows another, StoreReplaced is True.
    #[serde(default, rename = "storeID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub store_id: Option<String>,
}

fn replicas() -> i32 {
    1
}

/// GKE's balancers keep idle connections for 600 s, and others for less.
fn keep_alive_seconds() -> i32 {
    620
}

fn cores() -> i32 {
    1
}
