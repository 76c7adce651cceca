//! The configuration of a channel.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use uuid::Uuid;

use super::{DEDUPLICATION_WINDOW_SECONDS, Delivery, Durability, Expired, KeepHeaders, Limits, WhenFull};
use crate::{Address, header::is_kept};

/// The addresses to which messages are pushed. Nearly every channel has one, which is stored inline: with very many
/// channels, each pointer to follow is a cache miss.
pub type Destinations = SmallVec<[Address; 1]>;

/// The configuration of a channel as the broker gets it: a `MessageChannel` with every default filled in and every
/// address made absolute.
///
/// Unknown fields are rejected: a broker that is older than its operator must not accept a setting that it does not
/// understand. A field added after 0.1.0 has a default, so that configurations stored by 0.1.0 can be read. It is not
/// serialized while it has that default, so that the revision of a channel without it stays the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelConfig {
    /// The channel's identity. A channel that is deleted and created again under the same name is another channel.
    pub uid: Uuid,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The channel's name in the namespace.
    pub name: String,
    /// `metadata.generation` of the resource that this configuration was compiled from.
    pub generation: i64,
    /// The addresses to which messages are pushed: at least one, all in the channel's namespace.
    pub destinations: Destinations,
    /// Whether other channels may have the same destinations: each message is stored in all of them or in none.
    #[serde(default)]
    pub shared_destination: bool,
    /// The address from which messages are pulled, in the channel's namespace.
    pub source: Address,
    /// Whether pulls are answered as if the channel were empty. Pushes are stored, and leases and times to live
    /// continue.
    #[serde(default)]
    pub paused: bool,
    /// Whether the channel drains before it is deleted: all pushes are refused, pulls and settles continue.
    #[serde(default)]
    pub closing: bool,
    /// How messages are delivered.
    pub delivery: Delivery,
    /// What happens to dead letters.
    #[serde(default)]
    pub dead_letter: DeadLetter,
    /// The limits of the channel and its messages.
    pub limits: Limits,
    /// What happens to an expired message.
    #[serde(default)]
    pub expired: Expired,
    /// What happens to a push when the channel is full.
    #[serde(default)]
    pub when_full: WhenFull,
    /// How long after its answer a push is recognised by its idempotency key, in seconds; 0 means never.
    pub deduplication_window_seconds: u32,
    /// The durability of a message whose push is answered 201.
    #[serde(default)]
    pub durability: Durability,
    /// Request headers that are kept with messages in addition to the standard ones. Not serialized if empty, so that
    /// the revision of a channel from before this field stays the same.
    #[serde(default, skip_serializing_if = "KeepHeaders::is_empty")]
    pub keep_headers: KeepHeaders,
    /// Who may use the channel.
    pub access: Access,
}

/// What happens to dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetter {
    /// The name of the dead-letter channel, in the same namespace. Without one, or while it does not exist, dead
    /// letters stay in their own channel in the state dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How long dead letters stay in their own channel, in seconds; 0 means no limit.
    #[serde(default)]
    pub ttl_seconds: u32,
}

/// Who may use a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "custom-resource", derive(schemars::JsonSchema))]
pub struct Access {
    /// Whether every client that can reach the broker may use the channel. Must be true: this version checks no
    /// credentials.
    pub anonymous: bool,
}

impl ChannelConfig {
    /// A channel with every default, whose destination and source are both `address`.
    pub fn new(uid: Uuid, namespace: &str, name: &str, address: Address) -> Self {
        Self {
            uid,
            namespace: namespace.into(),
            name: name.into(),
            generation: 1,
            destinations: smallvec![address.clone()],
            shared_destination: false,
            source: address,
            paused: false,
            closing: false,
            delivery: Delivery::default(),
            dead_letter: DeadLetter::default(),
            limits: Limits::default(),
            expired: Expired::default(),
            when_full: WhenFull::default(),
            deduplication_window_seconds: DEDUPLICATION_WINDOW_SECONDS,
            durability: Durability::default(),
            keep_headers: KeepHeaders::default(),
            access: Access { anonymous: true },
        }
    }

    /// Whether a request header of this name, in lower case, is kept with the channel's messages.
    pub fn keeps_header(&self, name: &str) -> bool {
        is_kept(name) || self.keep_headers.keeps(name)
    }

    /// `namespace/name`.
    pub fn qualified_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
