//! `MessageChannel`: one durable queue with the addresses that lead into and out of it.

mod dead_letter;
mod keep_headers;
mod settings;
mod status;

use kube::{CustomResource, KubeSchema};
use restante_wire::channel::{
    Access, DEDUPLICATION_WINDOW_SECONDS, DEDUPLICATION_WINDOW_SECONDS_MAX, DESTINATIONS_MAX, Delivery,
    Durability, Expired, KEEP_HEADER_BYTES_MAX, KEEP_HEADERS_MAX, KeepHeaders, Limits, WhenFull,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use dead_letter::{ChannelRef, DeadLetterSpec};
pub use status::{Backlog, MessageChannelStatus};

/// A durable queue: senders push messages to its destinations, and receivers pull them from its source.
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
    doc = "A durable queue: senders push messages to its destinations, and receivers pull them from its source.",
    validation = Rule::new("size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')")
        .message("metadata.name must be one DNS label of at most 63 characters, without dots"),
    validation = Rule::new("!has(self.spec.deadLetter.channelRef) || self.spec.deadLetter.channelRef == null || self.spec.deadLetter.channelRef.name != self.metadata.name")
        .message("deadLetter.channelRef must name another channel: omit it to keep dead letters in their own channel"),
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
#[schemars(transform = crate::structural::translate)]
#[x_kube(
    validation = Rule::new("self.brokerRef == oldSelf.brokerRef")
        .message("brokerRef is immutable: delete the channel, and create it again at the other broker")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.durability == oldSelf.durability")
        .message("durability is immutable: delete the channel, and create it again with the new durability")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new(keep_headers::rule())
        .message("keepHeaders must not cover a forbidden header, such as authorization, cookie, host, x-forwarded-* and message-*: use more specific names"),
    validation = Rule::new("self.access.anonymous")
        .message("access.anonymous must be true: this version of the broker checks no credentials, and every client that can reach it may use the channel"),
)]
pub struct MessageChannelSpec {
    /// The MessageBroker that stores the channel. If absent: the one named `default`. Immutable.
    #[serde(default)]
    pub broker_ref: BrokerRef,
    /// Addresses to which senders push messages (default: [<name>]). Relative: `orders` in namespace `acme` becomes
    /// `acme/orders`. A destination belongs to one channel, unless all its channels set `sharedDestination: true`.
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
    /// Whether this channel shares its destinations with other channels that also set this (default: false). At most 32
    /// channels share a destination. A message is stored in all of them or in none, so one full channel blocks the
    /// destination.
    #[serde(default)]
    pub shared_destination: bool,
    /// Address from which receivers pull messages (default: <name>). Relative, like the destinations. A source belongs
    /// to one channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 189),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[a-z0-9]([-a-z0-9]*[a-z0-9])?){0,6}$")
    )]
    pub source: Option<String>,
    /// Whether the broker answers pulls as if the channel were empty (default: false). Pushes are still stored; leases
    /// and messages still expire.
    #[serde(default)]
    pub paused: bool,
    /// How the channel delivers messages to receivers.
    #[serde(default, deserialize_with = "settings::delivery")]
    pub delivery: Delivery,
    /// Where dead letters go, and how long they stay.
    #[serde(default)]
    pub dead_letter: DeadLetterSpec,
    /// Limits of the channel and of its messages. `whenFull` decides what happens when a push would exceed `messages`
    /// or `bytes`.
    #[serde(default, deserialize_with = "settings::limits")]
    pub limits: Limits,
    /// What happens to an expired message (default: Drop). Drop: it is deleted. DeadLetter: it becomes a dead letter.
    #[serde(default)]
    pub expired: Expired,
    /// What happens to a push when the channel is full (default: Reject). Reject: the push is refused with 429.
    /// DropOldest: the broker deletes the oldest ready messages to make room, never leased, delayed or dead ones. If
    /// the ready messages are too few to make room, nothing is deleted and the push is refused with 429.
    #[serde(default)]
    pub when_full: WhenFull,
    /// How long the broker remembers the Idempotency-Key of a push, in seconds, 0 to 604800 (default: 300). 0 means
    /// that it remembers none.
    #[serde(default = "deduplication_window_seconds")]
    #[schemars(range(min = 0, max = DEDUPLICATION_WINDOW_SECONDS_MAX))]
    pub deduplication_window_seconds: i32,
    /// What a 201 guarantees (default: Fsync). Fsync: the message is on disk. Memory: the broker has the message, and does
    /// not wait for the disk; a restart of the broker empties the channel. Immutable.
    #[serde(default)]
    pub durability: Durability,
    /// Additional request headers to store and deliver with a message, such as stripe-signature. At most 16 names in
    /// lower case, or prefixes of names followed by `*`, such as x-github-*. Always kept are Content-Type,
    /// Content-Encoding, Content-Language, ce-*, Meta-*, Reply-To, Correlation-Id, traceparent, tracestate and baggage.
    /// Forbidden are credentials, hop-by-hop headers, headers that proxies add (forwarded, x-forwarded-*), response
    /// headers, and the broker's own headers (message-*, lease-*).
    #[serde(default, skip_serializing_if = "KeepHeaders::is_empty")]
    #[schemars(
        with = "Vec<String>",
        length(max = KEEP_HEADERS_MAX),
        inner(
            length(min = 1, max = KEEP_HEADER_BYTES_MAX),
            regex(pattern = r"^[a-z0-9]([-a-z0-9_.]*[a-z0-9*])?$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub keep_headers: KeepHeaders,
    /// What happens to the messages when the channel is deleted (default: Block). Block: the deletion waits, and the
    /// channel stays in service, until the channel has no messages, not even dead letters. Drain: the same, but pushes
    /// are refused with 410. Delete: the channel is deleted at once, with its messages.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Who may use the channel. Required, so that a channel is never open by oversight.
    #[serde(deserialize_with = "settings::access")]
    pub access: Access,
}

/// The MessageBroker of a channel.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct BrokerRef {
    /// The MessageBroker's name (default: default).
    #[serde(default = "broker_name")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the MessageBroker and of its operator. If absent: the namespace of the operator that already serves
    /// the channel (see status.broker). For a new channel: the namespace of the cluster's default operator, which the
    /// annotation restante.dev/operator of the ClusterRole restante-default-operator names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}

impl Default for BrokerRef {
    fn default() -> Self {
        Self { name: broker_name(), namespace: None }
    }
}

/// What happens to the messages when the channel is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The channel stays in service until it is empty.
    #[default]
    Block,
    /// The channel accepts no more messages, and stays until it is empty.
    Drain,
    /// The messages are deleted with the channel.
    Delete,
}

fn broker_name() -> String {
    crate::DEFAULT_BROKER.into()
}

fn deduplication_window_seconds() -> i32 {
    DEDUPLICATION_WINDOW_SECONDS.cast_signed()
}
