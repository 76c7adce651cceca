//! Compiles a MessageChannel to the configuration that its broker gets. Pure, and the same for the operator and the
//! standalone broker.

use kube::ResourceExt;
use restante_wire::{
    Address, AddressError, ChannelConfig,
    channel::{ConfigError, DeadLetter, Destinations},
};
use uuid::Uuid;

use crate::{MessageChannel, message_channel::DeletionPolicy};

/// Why a MessageChannel cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// `metadata.namespace` is absent, or `metadata.uid` is absent or invalid. An API server sets both.
    #[error("metadata.{0} is missing or invalid")]
    Metadata(&'static str),
    /// An invalid address.
    #[error("spec.{field}: {relative:?} is not a valid address in namespace {namespace}: {error}")]
    Address {
        /// `destinations` or `source`.
        field: &'static str,
        /// The address in the spec.
        relative: String,
        /// The channel's namespace.
        namespace: String,
        /// The rule that it breaks.
        error: AddressError,
    },
    /// A negative number. The schema refuses it as well.
    #[error("spec.{0} must not be negative")]
    Negative(&'static str),
    /// A value outside the broker's bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The channel's configuration for its broker: every default filled in, every address absolute, every bound checked.
///
/// The channel needs a namespace and a UID, as set by an API server. Without a generation, 1 is used.
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
        delivery: spec.delivery.clone(),
        dead_letter: DeadLetter {
            channel: spec.dead_letter.channel_ref.as_ref().map(|reference| reference.name.clone()),
            ttl_seconds: unsigned("deadLetter.ttlSeconds", spec.dead_letter.ttl_seconds)?,
        },
        limits: spec.limits.clone(),
        expired: spec.expired,
        when_full: spec.when_full,
        deduplication_window_seconds: unsigned(
            "deduplicationWindowSeconds",
            spec.deduplication_window_seconds,
        )?,
        durability: spec.durability,
        keep_headers: spec.keep_headers.clone(),
        access: spec.access.clone(),
        ..ChannelConfig::new(uid, &namespace, &name, source)
    };
    config.check()?;
    Ok(config)
}

/// Numbers of the schema are signed, because API servers warn about unsigned formats.
fn unsigned<S, U: TryFrom<S>>(field: &'static str, value: S) -> Result<U, CompileError> {
    U::try_from(value).map_err(|_| CompileError::Negative(field))
}

#[cfg(test)]
mod tests {
    use restante_wire::channel::{Delivery, Limits};
    use serde_json::json;

    use super::*;

    fn channel(spec: serde_json::Value) -> MessageChannel {
        read(spec).unwrap()
    }

    fn read(spec: serde_json::Value) -> Result<MessageChannel, serde_json::Error> {
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
    }

    #[test]
    fn an_empty_spec_gets_every_default() {
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
    fn reading_or_compile_refuses_what_the_schema_refuses() {
        let error = |spec| match read(spec) {
            Ok(channel) => compile(&channel).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let open = json!({ "anonymous": true });
        assert!(
            error(json!({ "source": "Out", "access": open }))
                .contains("spec.source: \"Out\" is not a valid address")
        );
        assert!(
            error(json!({ "limits": { "bytes": "1 Gi" }, "access": open })).contains("spec.limits.bytes")
        );
        assert!(
            error(json!({ "limits": { "bytes": "512Ki" }, "access": open }))
                .contains("limits.messageBytes must be at most limits.bytes, 524288"),
        );
        assert!(
            error(json!({ "delivery": { "waitSeconds": -1 }, "access": open }))
                .contains("spec.delivery.waitSeconds must be a whole number from 0")
        );
        assert!(error(json!({ "deduplicationWindowSeconds": -1, "access": open })).contains("negative"));
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
    fn a_channel_closes_when_it_is_deleted_with_policy_drain() {
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
