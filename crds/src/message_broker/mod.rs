//! `MessageBroker`: a broker, which stores and serves channels.

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

/// An HTTP message broker that stores and serves MessageChannels: one pod and one volume. The operator manages its
/// StatefulSet, Services and volume, and the Secret with the token of the control API.
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
    doc = "An HTTP message broker that stores and serves MessageChannels: one pod and one volume. The operator manages its StatefulSet, Services and volume, and the Secret with the token of the control API.",
    validation = Rule::new("size(self.metadata.name) <= 40 && !self.metadata.name.contains('.')")
        .message("metadata.name must be one DNS label of at most 40 characters, without dots"),
    // The objects of MessageBroker x are named restante-x, restante-x-headless and restante-x-control.
    validation = Rule::new("!self.metadata.name.endsWith('-headless') && !self.metadata.name.endsWith('-control')")
        .message("metadata.name must not end with -headless or -control: another MessageBroker's objects may have that name"),
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
        .message("trustedProxies must be addresses or networks such as 10.0.0.0/8 or fd00::/8, with all host bits zero"),
)]
pub struct MessageBrokerSpec {
    /// Storage engine (default: the embedded engine with a volume of 10Gi).
    #[serde(default)]
    pub engine: Engine,
    /// Number of broker pods (default: 1). Must be 1 in this version.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: i32,
    /// URL of the broker for clients outside the cluster, such as https://mq.example.com or https://example.com/mq
    /// (default: the Service in the cluster). The URLs in the status of channels begin with it. Its host must be ASCII,
    /// and its path must need no encoding.
    #[serde(default, rename = "externalURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 1024),
        regex(
            pattern = r"^https?://([-A-Za-z0-9_.]{1,253}|\[[0-9A-Fa-f:.]+\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/\.{0,2}[-A-Za-z0-9_~][-A-Za-z0-9._~]*)*/?$"
        )
    )]
    pub external_url: Option<String>,
    /// Additional host names of the broker, at most 16. The `Host` of a request must be an IP address, localhost, a
    /// name of the Service, the host of externalURL, or one of these names. Any other is refused with 403, so that no
    /// web page can reach the broker under a host name of the page's owner (DNS rebinding). `*` allows any.
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
    /// Web origins whose pages may use the broker, such as https://app.example.com, at most 16. A request with any
    /// other `Origin` is refused with 403. `*` allows any.
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
    /// Networks or single addresses of the proxies in front of the broker, such as 10.0.0.0/8, at most 64. The broker
    /// uses X-Forwarded-For and X-Forwarded-Prefix only in requests from these addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 2, max = 49), regex(pattern = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub trusted_proxies: Vec<String>,
    /// Maximum idle time of a connection between two requests, in seconds, 1 to 86400 (default: 620). Should exceed the
    /// idle time-out of the load balancer in front of the broker, so that the balancer closes idle connections and not
    /// the broker.
    #[serde(default = "keep_alive_seconds")]
    #[schemars(range(min = 1, max = 86400))]
    pub keep_alive_seconds: i32,
    /// Settings of the broker pods.
    #[serde(default)]
    pub template: PodTemplate,
}

/// The storage engine.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// The embedded engine: a log on the broker's own volume.
    pub embedded: Embedded,
}

impl Default for Engine {
    fn default() -> Self {
        Self { embedded: Embedded { cores: cores(), storage: Storage::default() } }
    }
}

/// The embedded engine: a log on the broker's own volume.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Embedded {
    /// Number of worker threads, 1 to 64 (default: 1). Each worker owns a part of the channels and has its own log,
    /// which needs at least 256Mi on the volume; without that room the broker does not start. The container needs one
    /// CPU per worker. A change restarts the pod; messages on disk stay.
    #[serde(default = "cores")]
    #[schemars(range(min = 1, max = 64))]
    pub cores: i32,
    /// The broker's volume.
    #[serde(default)]
    pub storage: Storage,
}

/// The status of a broker, as observed by its operator.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MessageBrokerStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: a broker pod with the current spec is ready. StorageDiffers: the volume differs from the spec.
    /// StoreReplaced: the broker has another data folder than before. DefaultDiffers: the chart's values `broker.*`
    /// were refused, so the MessageBroker keeps its earlier spec. Stalled: only an edit of the MessageBroker helps, or
    /// an obstacle outside of it has lasted for two minutes, such as another object with the name of a child.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::condition::lenient_list"
    )]
    #[schemars(schema_with = "crate::condition::list_schema")]
    pub conditions: Vec<Condition>,
    /// Base URL of the broker: pushURL and pullURL of its channels begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
    /// Number of ready broker pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Number of channels that the broker has, at most half a minute old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<i64>,
    /// Number of orphans: channels whose messages the broker retains although they have no MessageChannel any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<i64>,
    /// Identifies the set of channels that the broker has: a hash of their configurations. Changes with each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub address_revision: Option<String>,
    /// Id of the broker's data folder: the first that the operator saw, or the last that you accepted (annotation
    /// restante.dev/accept-store). While the broker has a data folder with another id, the condition StoreReplaced is
    /// True.
    #[serde(default, rename = "storeID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub store_id: Option<String>,
}

fn replicas() -> i32 {
    1
}

/// Load balancers of GKE close idle connections after 600 s, others earlier.
fn keep_alive_seconds() -> i32 {
    620
}

fn cores() -> i32 {
    1
}
