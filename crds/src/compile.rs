//! From a MessageChannel to what a broker is told of it. Pure, and the same for the operator and the standalone broker.

use kube::ResourceExt;
use restante_wire::{
    Address, AddressError, ChannelConfig,
    channel::{Access, Backoff, ConfigError, DeadLetter, Delivery, Destinations, Limits},
};
use uuid::Uuid;

use crate::{
    MessageChannel,
    message_channel::{DeletionPolicy, MessageChannelSpec},
    quantity::{self, QuantityError},
};

/// Why a MessageChannel cannot be programmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// `metadata.uid` or `metadata.namespace` is absent, or the UID is none: nothing an API server hands out.
    #[error("metadata.{0} is missing or malformed")]
    Metadata(&'static str),
    /// An address that the broker would refuse.
    #[error("spec.{field}: {relative:?} is no address in namespace {namespace}: {error}")]
    Address {
        /// `destinations` or `source`.
        field: &'static str,
        /// What the spec says.
        relative: String,
        /// The channel's namespace.
        namespace: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// A size that is none.
    #[error("spec.limits.{field}: {error}")]
    Quantity {
        /// The field under `spec.limits`.
        field: &'static str,
        /// What is wrong with it.
        error: QuantityError,
    },
    /// A number below zero, which the schema refuses.
    #[error("spec.{0} must not be negative")]
    Negative(&'static str),
    /// Out of the bounds that the broker keeps.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The channel as its broker is told of it: every default filled in, every address absolute, every bound checked.
///
/// Needs what the API server gives each object: a namespace and a UID. The generation is 1 where there is none.
pub fn compile(channel: &MessageChannel) -> Result<ChannelConfig, CompileError> {
    let metadata = &channel.metadata;
    let namespace = metadata.namespace.clone().ok_or(CompileError::Metadata("namespace"))?;
    let uid: Uuid =
        metadata.uid.as_deref().and_then(|uid| uid.parse().ok()).ok_or(CompileError::Metadata("uid"))?;
    let name = channel.name_any();
    let spec = &channel.spec;
    let address = |field, relative: &str| {
        Address::new(&namespace, relative).map_err(|error| CompileError::Address {
            field,
            relative: relative.to_owned(),
            namespace: namespace.clone(),
            error,
        })
    };
    let destinations = match &spec.destinations {
        Some(list) => list.iter().map(|one| address("destinations", one)).collect::<Result<_, _>>()?,
        None => Destinations::from([address("destinations", &name)?]),
    };
    let source = address("source", spec.source.as_deref().unwrap_or(&name))?;
    let config = ChannelConfig {
        destinations,
        generation: metadata.generation.unwrap_or(1),
        shared_destination: spec.shared_destination,
        paused: spec.paused,
        closing: metadata.deletion_timestamp.is_some() && spec.deletion_policy == DeletionPolicy::Drain,
        delivery: delivery(spec)?,
        dead_letter: DeadLetter {
            channel: spec.dead_letter.channel_ref.as_ref().map(|reference| reference.name.clone()),
            ttl_seconds: unsigned("deadLetter.ttlSeconds", spec.dead_letter.ttl_seconds)?,
        },
        limits: limits(spec)?,
        expired: spec.expired.into(),
        when_full: spec.when_full.into(),
        deduplication_window_seconds: unsigned(
            "deduplicationWindowSeconds",
            spec.deduplication_window_seconds,
        )?,
        durability: spec.durability.into(),
        keep_headers: spec.keep_headers.iter().map(String::as_str).collect(),
        access: Access { anonymous: spec.access.anonymous },
        ..ChannelConfig::new(uid, &namespace, &name, source)
    };
    config.check()?;
    Ok(config)
}

fn delivery(spec: &MessageChannelSpec) -> Result<Delivery, CompileError> {
    let said = &spec.delivery;
    Ok(Delivery {
        wait_seconds: unsigned("delivery.waitSeconds", said.wait_seconds)?,
        max_wait_seconds: unsigned("delivery.maxWaitSeconds", said.max_wait_seconds)?,
        lease_seconds: unsigned("delivery.leaseSeconds", said.lease_seconds)?,
        max_lease_seconds: unsigned("delivery.maxLeaseSeconds", said.max_lease_seconds)?,
        max_deliveries: unsigned("delivery.maxDeliveries", said.max_deliveries)?,
        backoff: Backoff {
            policy: said.backoff.policy.into(),
            initial_seconds: unsigned("delivery.backoff.initialSeconds", said.backoff.initial_seconds)?,
            max_seconds: unsigned("delivery.backoff.maxSeconds", said.backoff.max_seconds)?,
        },
        order: said.order.into(),
    })
}

fn limits(spec: &MessageChannelSpec) -> Result<Limits, CompileError> {
    let said = &spec.limits;
    let size = |field, given| quantity::bytes(given).map_err(|error| CompileError::Quantity { field, error });
    Ok(Limits {
        messages: unsigned("limits.messages", said.messages)?,
        bytes: size("bytes", &said.bytes)?,
        message_bytes: size("messageBytes", &said.message_bytes)?,
        ttl_seconds: unsigned("limits.ttlSeconds", said.ttl_seconds)?,
        max_delay_seconds: unsigned("limits.maxDelaySeconds", said.max_delay_seconds)?,
        pushes_per_second: unsigned("limits.pushesPerSecond", said.pushes_per_second)?,
    })
}

/// The schema has signed numbers only, because API servers warn about the others.
fn unsigned<S, U: TryFrom<S>>(field: &'static str, value: S) -> Result<U, CompileError> {
    U::try_from(value).map_err(|_| CompileError::Negative(field))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn channel(spec: serde_json::Value) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": {
                "name": "orders",
                "namespace": "acme",
                "uid": "0190a7e8-0000-7000-8000-000000000001",
                "generation": 3,
            },
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_channel_that_says_nothing_gets_every_default() {
        let config = compile(&channel(json!({ "access": { "anonymous": true } }))).unwrap();
        assert_eq!(config.destinations[..], ["acme/orders".parse().unwrap()]);
        assert_eq!(config.source, "acme/orders".parse().unwrap());
        assert_eq!(config.generation, 3);
        assert_eq!(config.delivery, Delivery::default());
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.deduplication_window_seconds, 300);
        let address = Address::new("acme", "orders").unwrap();
        let fresh = ChannelConfig::new(config.uid, "acme", "orders", address);
        assert_eq!(config, ChannelConfig { generation: 3, ..fresh });
    }

    #[test]
    fn relative_addresses_become_absolute() {
        let config = compile(&channel(json!({
            "destinations": ["in", "in/second"],
            "source": "out",
            "access": { "anonymous": true },
        })))
        .unwrap();
        assert_eq!(config.destinations[..], ["acme/in".parse().unwrap(), "acme/in/second".parse().unwrap()]);
        assert_eq!(config.source.as_str(), "acme/out");
    }

    #[test]
    fn what_the_schema_would_refuse_is_refused_here_too() {
        let error = |spec| compile(&channel(spec)).unwrap_err().to_string();
        let open = json!({ "anonymous": true });
        assert!(
            error(json!({ "source": "Out", "access": open })).contains("spec.source: \"Out\" is no address")
        );
        assert!(
            error(json!({ "limits": { "bytes": "1 Gi" }, "access": open })).contains("spec.limits.bytes")
        );
        assert!(
            error(json!({ "limits": { "bytes": "512Ki" }, "access": open }))
                .contains("limits.messageBytes must be at most limits.bytes, 524288"),
        );
        assert!(error(json!({ "delivery": { "waitSeconds": -1 }, "access": open })).contains("negative"));
        assert!(
            error(json!({ "delivery": { "waitSeconds": 21 }, "access": open })).contains("maxWaitSeconds")
        );
        assert!(error(json!({ "access": { "anonymous": false } })).contains("access.anonymous"));
    }

    #[test]
    fn every_field_arrives_where_the_broker_reads_it() {
        let config = compile(&channel(json!({
            "sharedDestination": true,
            "paused": true,
            "delivery": {
                "waitSeconds": 1, "maxWaitSeconds": 2, "leaseSeconds": 3, "maxLeaseSeconds": 4, "maxDeliveries": 5,
                "backoff": { "policy": "Constant", "initialSeconds": 6, "maxSeconds": 7 }, "order": "Strict",
            },
            "deadLetter": { "channelRef": { "name": "dead" }, "ttlSeconds": 8 },
            "limits": {
                "messages": 9, "bytes": 11, "messageBytes": 10, "ttlSeconds": 12, "maxDelaySeconds": 13,
                "pushesPerSecond": 14,
            },
            "expired": "DeadLetter",
            "whenFull": "DropOldest",
            "deduplicationWindowSeconds": 15,
            "durability": "Memory",
            "deletionPolicy": "Drain",
            "access": { "anonymous": true },
        })))
        .unwrap();
        let expected = json!({
            "uid": "0190a7e8-0000-7000-8000-000000000001", "namespace": "acme", "name": "orders", "generation": 3,
            "destinations": ["acme/orders"], "sharedDestination": true, "source": "acme/orders", "paused": true,
            "closing": false,
            "delivery": {
                "waitSeconds": 1, "maxWaitSeconds": 2, "leaseSeconds": 3, "maxLeaseSeconds": 4, "maxDeliveries": 5,
                "backoff": { "policy": "Constant", "initialSeconds": 6, "maxSeconds": 7 }, "order": "Strict",
            },
            "deadLetter": { "channel": "dead", "ttlSeconds": 8 },
            "limits": {
                "messages": 9, "bytes": 11, "messageBytes": 10, "ttlSeconds": 12, "maxDelaySeconds": 13,
                "pushesPerSecond": 14,
            },
            "expired": "DeadLetter", "whenFull": "DropOldest", "deduplicationWindowSeconds": 15,
            "durability": "Memory", "access": { "anonymous": true },
        });
        assert_eq!(serde_json::to_value(config).unwrap(), expected);
    }

    #[test]
    fn a_channel_closes_when_it_is_deleted_and_is_to_drain() {
        let closing = |policy: &str, deleted: bool| {
            let mut channel = channel(json!({ "deletionPolicy": policy, "access": { "anonymous": true } }));
            channel.metadata.deletion_timestamp =
                deleted.then(|| serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
            compile(&channel).unwrap().closing
        };
        assert!(closing("Drain", true));
        for (policy, deleted) in [("Drain", false), ("Block", true), ("Delete", true)] {
            assert!(!closing(policy, deleted), "{policy} {deleted}");
        }
    }
}
