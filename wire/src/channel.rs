//! A channel as the broker is told of it, and as it tells of itself.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Address, address::is_label};

/// The longest `wait` that a channel may allow, in seconds.
pub const WAIT_SECONDS_MAX: u32 = 300;
/// The longest lease that a channel may allow, in seconds: half a day.
pub const LEASE_SECONDS_MAX: u32 = 43_200;
/// The largest message that a channel may allow, in bytes: 16 MiB.
pub const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The most messages that a channel may hold.
pub const MESSAGES_MAX: u64 = 100_000_000;
/// The longest deduplication window, in seconds: a week.
pub const DEDUPLICATION_WINDOW_SECONDS_MAX: u32 = 604_800;
/// The most destinations of one channel.
pub const DESTINATIONS_MAX: usize = 16;
/// The longest namespace and the longest name of a channel, in bytes: one DNS label (RFC 1123 section 2.1).
pub const NAME_BYTES_MAX: usize = 63;

/// What the broker needs to know of a channel: a `MessageChannel` with every default filled in and every address made
/// absolute.
///
/// Unknown fields are refused: a broker older than its operator must not claim to obey what it does not understand.
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
    pub destinations: Vec<Address>,
    /// Where messages of this channel are asked for; in the channel's namespace.
    pub source: Address,
    /// How messages are handed out.
    pub delivery: Delivery,
    /// What the channel holds at the most.
    pub limits: Limits,
    /// How long after its answer a push is recognised by its idempotency key, in seconds; 0 means never.
    pub deduplication_window_seconds: u32,
    /// Who may use the channel.
    pub access: Access,
}

/// How messages are handed out, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// The predetermined time period: how long a pull that names no wait is held.
    pub wait_seconds: u32,
    /// The longest wait; a pull that asks for more gets this.
    pub max_wait_seconds: u32,
    /// How long a message is the receiver's when the pull names no lease.
    pub lease_seconds: u32,
    /// The longest lease; a pull or renewal that asks for more gets this.
    pub max_lease_seconds: u32,
}

/// What a channel holds at the most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Messages, ready and leased.
    pub messages: u64,
    /// Bytes of their contents and kept headers.
    pub bytes: u64,
    /// Bytes of one message's content.
    pub message_bytes: u64,
}

/// Who may use a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// Whether anyone who reaches the broker may. Always true until the broker checks credentials.
    pub anonymous: bool,
}

/// Why a configuration cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: {field} {reason}")]
pub struct ConfigError {
    /// `namespace/name` of the channel.
    pub channel: String,
    /// The field, as it is written in JSON.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl ChannelConfig {
    /// `namespace/name`.
    pub fn qualified_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Checks every bound of this module. The CRD checks them too; the broker does not rely on who wrote to it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let error =
            |field, reason: String| Err(ConfigError { channel: self.qualified_name(), field, reason });
        for (field, text) in [("namespace", &self.namespace), ("name", &self.name)] {
            if text.len() > NAME_BYTES_MAX || !is_label(text) {
                return error(field, format!("must be a DNS label of at most {NAME_BYTES_MAX} bytes"));
            }
        }
        if self.destinations.is_empty() || self.destinations.len() > DESTINATIONS_MAX {
            return error("destinations", format!("must be 1 to {DESTINATIONS_MAX} addresses"));
        }
        for (field, address) in
            self.destinations.iter().map(|one| ("destinations", one)).chain([("source", &self.source)])
        {
            if address.namespace() != self.namespace {
                return error(
                    field,
                    format!("{address} is not in the channel's namespace {}", self.namespace),
                );
            }
        }
        for (index, address) in self.destinations.iter().enumerate() {
            if self.destinations[..index].contains(address) {
                return error("destinations", format!("names {address} twice"));
            }
        }
        let Delivery { wait_seconds, max_wait_seconds, lease_seconds, max_lease_seconds } = self.delivery;
        if max_wait_seconds > WAIT_SECONDS_MAX {
            return error("delivery.maxWaitSeconds", format!("must be at most {WAIT_SECONDS_MAX}"));
        }
        if wait_seconds > max_wait_seconds {
            return error(
                "delivery.waitSeconds",
                format!("must be at most maxWaitSeconds, {max_wait_seconds}"),
            );
        }
        if max_lease_seconds > LEASE_SECONDS_MAX {
            return error("delivery.maxLeaseSeconds", format!("must be at most {LEASE_SECONDS_MAX}"));
        }
        if lease_seconds == 0 || lease_seconds > max_lease_seconds {
            return error(
                "delivery.leaseSeconds",
                format!("must be 1 to maxLeaseSeconds, {max_lease_seconds}"),
            );
        }
        if self.limits.messages == 0 || self.limits.messages > MESSAGES_MAX {
            return error("limits.messages", format!("must be 1 to {MESSAGES_MAX}"));
        }
        if self.limits.bytes == 0 {
            return error("limits.bytes", "must be at least 1".into());
        }
        if self.limits.message_bytes > MESSAGE_BYTES_MAX {
            return error("limits.messageBytes", format!("must be at most {MESSAGE_BYTES_MAX} (16 MiB)"));
        }
        if self.deduplication_window_seconds > DEDUPLICATION_WINDOW_SECONDS_MAX {
            return error(
                "deduplicationWindowSeconds",
                format!("must be at most {DEDUPLICATION_WINDOW_SECONDS_MAX}"),
            );
        }
        if !self.access.anonymous {
            return error(
                "access.anonymous",
                "must be true: this broker does not check credentials yet".into(),
            );
        }
        Ok(())
    }
}

/// What a 201 promises, in the header `Message-Durability`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On disk: `fdatasync` returned before the answer was sent.
    Fsync,
}

impl Durability {
    /// The word in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
        }
    }
}

/// A channel's counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStats {
    /// The channel's identity.
    pub uid: Uuid,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The name in the namespace.
    pub name: String,
    /// Messages that the next pulls get.
    pub ready: u64,
    /// Messages that receivers have leased.
    pub leased: u64,
    /// Bytes of contents and kept headers of both.
    pub bytes: u64,
    /// Seconds since the oldest of both was stored; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_message_age_seconds: Option<u64>,
    /// Receivers that wait for a message.
    pub waiting_receivers: u64,
}

impl ChannelStats {
    /// Messages in the channel, whatever their state.
    pub fn messages(&self) -> u64 {
        self.ready + self.leased
    }
}

/// A channel for the tests of this crate.
#[cfg(test)]
pub(crate) fn example(name: &str) -> ChannelConfig {
    ChannelConfig {
        uid: Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()),
        namespace: "acme".into(),
        name: name.into(),
        generation: 1,
        destinations: vec![Address::new("acme", name).unwrap()],
        source: Address::new("acme", name).unwrap(),
        delivery: Delivery {
            wait_seconds: 10,
            max_wait_seconds: 20,
            lease_seconds: 30,
            max_lease_seconds: 3600,
        },
        limits: Limits { messages: 100_000, bytes: 1 << 30, message_bytes: 1 << 20 },
        deduplication_window_seconds: 300,
        access: Access { anonymous: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change that makes a good configuration a bad one.
    type Spoil = fn(&mut ChannelConfig);

    #[test]
    fn a_configuration_out_of_bounds_is_refused_by_field() {
        assert_eq!(example("orders").check(), Ok(()));
        let spoiled: [(&str, Spoil); 13] = [
            ("namespace", |config| config.namespace = "Acme".into()),
            ("name", |config| config.name = "n".repeat(64)),
            ("destinations", |config| config.destinations.clear()),
            ("destinations", |config| config.destinations.push(config.destinations[0].clone())),
            ("source", |config| config.source = "other/orders".parse().unwrap()),
            ("delivery.maxWaitSeconds", |config| config.delivery.max_wait_seconds = 301),
            ("delivery.waitSeconds", |config| config.delivery.wait_seconds = 21),
            ("delivery.maxLeaseSeconds", |config| config.delivery.max_lease_seconds = 43_201),
            ("delivery.leaseSeconds", |config| config.delivery.lease_seconds = 0),
            ("limits.messages", |config| config.limits.messages = 0),
            ("limits.bytes", |config| config.limits.bytes = 0),
            ("limits.messageBytes", |config| config.limits.message_bytes = (16 << 20) + 1),
            ("access.anonymous", |config| config.access.anonymous = false),
        ];
        for (field, spoil) in spoiled {
            let mut config = example("orders");
            spoil(&mut config);
            assert_eq!(config.check().expect_err(field).field, field);
        }
    }

    #[test]
    fn a_field_that_this_broker_does_not_know_is_refused() {
        let mut value = serde_json::to_value(example("orders")).unwrap();
        value["paused"] = true.into();
        assert!(serde_json::from_value::<ChannelConfig>(value).unwrap_err().to_string().contains("paused"));
    }
}
