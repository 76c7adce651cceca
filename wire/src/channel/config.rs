//! What the broker needs to know of a channel.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use uuid::Uuid;

use super::{
    KeepHeaders,
    policy::{Backoff, Durability, Expired, Order, WhenFull},
};
use crate::{Address, header::is_kept};

/// Addresses that messages are sent to. Nearly every channel has one, which lies in its configuration: among very many channels
/// each look elsewhere waits for the memory.
pub type Destinations = SmallVec<[Address; 1]>;

/// What the broker needs to know of a channel: a `MessageChannel` with every default filled in and every address made
/// absolute.
///
/// Unknown fields are refused: a broker older than its operator must not claim to obey what it does not understand. A
/// field that came after 0.1.0 has its default when it is absent, so that what 0.1.0 stored can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelConfig {
    /// The channel's identity. Delete and re-create under the same name is another channel.
    pub uid: Uuid,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The name in the namespace.
    pub name: String,
    /// `metadata.generation` of the resource that this was made from.
    pub generation: i64,
    /// Where messages to this channel are sent; at least one, all in the channel's namespace.
    pub destinations: Destinations,
    /// Whether other channels may have the same destinations: each message is stored in all of them or in none.
    #[serde(default)]
    pub shared_destination: bool,
    /// Where messages of this channel are asked for; in the channel's namespace.
    pub source: Address,
    /// Whether pulls are answered as if the channel were empty. Pushes are stored, leases and the messages' time go on.
    #[serde(default)]
    pub paused: bool,
    /// Whether the channel drains before it is deleted: pushes are refused for ever, pulls and settles go on.
    #[serde(default)]
    pub closing: bool,
    /// How messages are handed out.
    pub delivery: Delivery,
    /// Where messages go that nobody settles.
    #[serde(default)]
    pub dead_letter: DeadLetter,
    /// What the channel holds at the most.
    pub limits: Limits,
    /// What becomes of a message whose time is over.
    #[serde(default)]
    pub expired: Expired,
    /// What becomes of a push when the channel is full.
    #[serde(default)]
    pub when_full: WhenFull,
    /// How long after its answer a push is recognised by its idempotency key, in seconds; 0 means never.
    pub deduplication_window_seconds: u32,
    /// What a 201 promises.
    #[serde(default)]
    pub durability: Durability,
    /// Request headers that are kept with messages besides the standard ones. Absent when there are none, so that a channel
    /// of before has the revision that it had.
    #[serde(default, skip_serializing_if = "KeepHeaders::is_empty")]
    pub keep_headers: KeepHeaders,
    /// Who may use the channel.
    pub access: Access,
}

/// How messages are handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// The predetermined time period: how long a pull that names no wait is held, in seconds.
    pub wait_seconds: u32,
    /// The longest wait, in seconds; a pull that asks for more gets this.
    pub max_wait_seconds: u32,
    /// How long a message is the receiver's when the pull names no lease, in seconds.
    pub lease_seconds: u32,
    /// The longest lease, in seconds; a pull or renewal that asks for more gets this.
    pub max_lease_seconds: u32,
    /// After how many deliveries that ended without a settle a message is a dead letter.
    #[serde(default = "max_deliveries")]
    pub max_deliveries: u32,
    /// The pause before a message that was given back is handed out again.
    #[serde(default)]
    pub backoff: Backoff,
    /// In which order.
    #[serde(default)]
    pub order: Order,
}

/// Where messages go that nobody settles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetter {
    /// The name of another channel of the namespace that takes them. Without one, or while that one does not exist, they
    /// stay in their channel, dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How long they stay in their channel, in seconds; 0 means for ever.
    #[serde(default)]
    pub ttl_seconds: u32,
}

/// What a channel holds at the most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Messages, whatever their state.
    pub messages: u64,
    /// Bytes of their contents and kept headers.
    pub bytes: u64,
    /// Bytes of one message's content.
    pub message_bytes: u64,
    /// How long a message is kept that says nothing of it, in seconds, and the longest that one may say; 0 means for ever.
    #[serde(default = "ttl_seconds")]
    pub ttl_seconds: u32,
    /// The longest delay that a message may ask for, in seconds.
    #[serde(default = "max_delay_seconds")]
    pub max_delay_seconds: u32,
    /// Pushes a second, with bursts of as many; 0 means any number.
    #[serde(default)]
    pub pushes_per_second: u32,
}

/// Who may use a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// Whether anyone who reaches the broker may. Always true until the broker checks credentials.
    pub anonymous: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            wait_seconds: 10,
            // Many proxies give up after 30 s or 60 s.
            max_wait_seconds: 20,
            lease_seconds: 30,
            max_lease_seconds: 3600,
            max_deliveries: max_deliveries(),
            backoff: Backoff::default(),
            order: Order::default(),
        }
    }
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

impl Limits {
    /// How long a message is kept that says nothing of it, in milliseconds; for ever, if it is not said.
    pub fn ttl_ms(&self) -> Option<u64> {
        (self.ttl_seconds > 0).then(|| u64::from(self.ttl_seconds) * 1000)
    }
}

impl ChannelConfig {
    /// An open channel with every default, both of whose sides are at `address`.
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
            // Longer than any sender should repeat one push; short enough that the keys of a busy channel fit in memory.
            deduplication_window_seconds: 300,
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

fn max_deliveries() -> u32 {
    10
}

/// Two weeks: longer than any holiday, as the longest retention of SQS.
fn ttl_seconds() -> u32 {
    1_209_600
}

fn max_delay_seconds() -> u32 {
    43_200
}
