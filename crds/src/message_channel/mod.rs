//! `MessageChannel`: one durable queue with the addresses that lead into and out of it.

mod dead_letter;
mod delivery;
mod keep_headers;
mod limits;
mod policy;
mod status;

use kube::{CustomResource, KubeSchema};
use restante_wire::channel::{
    DEDUPLICATION_WINDOW_SECONDS_MAX, DESTINATIONS_MAX, KEEP_HEADER_BYTES_MAX, KEEP_HEADERS_MAX,
};
use serde::{Deserialize, Serialize};

pub use dead_letter::{ChannelRef, DeadLetterSpec};
pub use delivery::{BackoffPolicy, BackoffSpec, DeliverySpec, Order};
pub use limits::LimitsSpec;
pub use policy::{DeletionPolicy, Durability, Expired, WhenFull};
pub use status::{Backlog, MessageChannelStatus};

/// A durable queue: messages sent to its destinations are asked for at its source.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "restante.dev",
    version = "v1alpha1",
    kind = "MessageChannel",
    namespaced,
    status = "MessageChannelStatus",
    shortname = "mc",
    category = "restante",
    derive = "PartialEq",
    cel,
    doc = "A durable queue: messages sent to its destinations are asked for at its source.",
    validation = Rule::new("size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')")
        .message("metadata.name must be one DNS label of at most 63 characters, without dots"),
    validation = Rule::new("!has(self.spec.deadLetter.channelRef) || self.spec.deadLetter.channelRef == null || self.spec.deadLetter.channelRef.name != self.metadata.name")
        .message("deadLetter.channelRef must name another channel: without it dead letters stay in their own"),
    selectable = ".spec.brokerRef.name",
    selectable = ".spec.brokerRef.namespace",
    selectable = ".spec.source",
    selectable = ".spec.paused",
    selectable = ".spec.durability",
    selectable = ".spec.deletionPolicy",
    selectable = ".spec.deadLetter.channelRef.name",
    selectable = ".status.source",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Destination", type_ = "string", json_path = ".status.destination"),
    printcolumn(name = "Source", type_ = "string", json_path = ".status.source"),
    printcolumn(name = "Backlog", type_ = "integer", json_path = ".status.backlog.messages"),
    printcolumn(name = "Oldest", type_ = "string", json_path = ".status.backlog.oldest"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Broker", type_ = "string", json_path = ".spec.brokerRef.name", priority = 1),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.backlog.waiting", priority = 1),
    printcolumn(name = "Dead", type_ = "integer", json_path = ".status.backlog.dead", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.brokerRef == oldSelf.brokerRef")
        .message("brokerRef is immutable: delete the channel and create it at the other broker")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.durability == oldSelf.durability")
        .message("durability is immutable: delete the channel and create it with the other")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new(keep_headers::rule())
        .message("keepHeaders must not cover a header that is never kept, such as authorization, cookie, host, x-forwarded-* and message-*: use longer names"),
    validation = Rule::new("self.access.anonymous")
        .message("access.anonymous must be true: this version of the broker checks no credentials, and anyone who reaches it may use the channel"),
)]
pub struct MessageChannelSpec {
    /// The MessageBroker that holds the channel (default: default, in the default operator's namespace). Immutable.
    #[serde(default)]
    pub broker_ref: BrokerRef,
    /// Where messages to this channel are sent (default: [<name>]). Relative: `orders` in namespace `acme` becomes
    /// `acme/orders`. A destination belongs to one channel, unless each channel that has it says `sharedDestination: true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = DESTINATIONS_MAX),
        inner(
            length(min = 1, max = 189),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[a-z0-9]([-a-z0-9]*[a-z0-9])?){0,6}$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub destinations: Option<Vec<String>>,
    /// Whether other channels that say so too may have the same destinations, at most 32 of each (default: false). A
    /// message is stored in all of them or in none: one that is full stops the destination.
    #[serde(default)]
    pub shared_destination: bool,
    /// Where messages of this channel are asked for (default: <name>). Relative, as the destinations. A source belongs
    /// to one channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 189),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[a-z0-9]([-a-z0-9]*[a-z0-9])?){0,6}$")
    )]
    pub source: Option<String>,
    /// Whether pulls are answered as if the channel were empty (default: false). Pushes are stored; leases and the time
    /// of messages go on.
    #[serde(default)]
    pub paused: bool,
    /// How messages are handed out.
    #[serde(default)]
    pub delivery: DeliverySpec,
    /// Where messages go that nobody settles.
    #[serde(default)]
    pub dead_letter: DeadLetterSpec,
    /// What the channel holds at the most. See `whenFull` for what becomes of a push beyond it.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// What becomes of a message whose time is over (default: Drop). Drop: it goes. DeadLetter: it becomes a dead letter.
    #[serde(default)]
    pub expired: Expired,
    /// What becomes of a push when the channel is full (default: Reject). Reject: it is refused with 429. DropOldest: the
    /// ready messages that were stored first make room for it, never a leased, delayed or dead one.
    #[serde(default)]
    pub when_full: WhenFull,
    /// How long a push is recognised by its Idempotency-Key, in seconds, 0 to 604800 (default: 300). 0 means never.
    #[serde(default = "deduplication_window_seconds")]
    #[schemars(range(min = 0, max = DEDUPLICATION_WINDOW_SECONDS_MAX))]
    pub deduplication_window_seconds: i32,
    /// What a 201 promises (default: Fsync). Fsync: the message is on disk. Memory: the message is there until the broker
    /// stops, and a restart empties the channel. Immutable.
    #[serde(default)]
    pub durability: Durability,
    /// Request headers that are kept with messages and handed back besides the standard ones, such as stripe-signature: at
    /// most 16 names in lower case, or beginnings of names followed by `*`, such as x-github-*. Never kept are credentials,
    /// the headers of one connection, those that proxies add (forwarded, x-forwarded-*), those that answers have, and the
    /// broker's own (message-*, lease-*).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = KEEP_HEADERS_MAX),
        inner(
            length(min = 1, max = KEEP_HEADER_BYTES_MAX),
            regex(pattern = r"^[a-z0-9]([-a-z0-9_.]*[a-z0-9*])?$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub keep_headers: Vec<String>,
    /// What happens to the messages when the channel is deleted (default: Block). Block: the channel stays, and goes on
    /// as it was, until it is empty. Drain: the same, but pushes are refused with 410. Delete: the messages go with it.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Who may use the channel. Required, so that an open channel is never an oversight.
    pub access: AccessSpec,
}

/// The MessageBroker that holds a channel.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct BrokerRef {
    /// The MessageBroker's name (default: default).
    #[serde(default = "broker_name")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The MessageBroker's namespace, which is its operator's (default: that of the operator which programmed the channel, before
    /// that the one of the default operator, which ClusterRole restante-default-operator names).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}

impl Default for BrokerRef {
    fn default() -> Self {
        Self { name: broker_name(), namespace: None }
    }
}

/// Who may use a channel.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AccessSpec {
    /// Anyone who reaches the broker may use the channel. Must be true: this version checks no credentials.
    pub anonymous: bool,
}

fn broker_name() -> String {
    crate::DEFAULT_BROKER.into()
}

/// Longer than any sender should repeat one push; short enough that the keys of a busy channel fit in memory.
fn deduplication_window_seconds() -> i32 {
    300
}
