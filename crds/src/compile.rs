//! From a MessageChannel to what a broker is told of it. Pure, and the same for the operator and the standalone broker.

use kube::ResourceExt;
use restante_wire::{
    Address, AddressError, ChannelConfig,
    channel::{Access, ConfigError, Delivery, Limits},
};
use uuid::Uuid;

use crate::{
    MessageChannel,
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
        None => vec![address("destinations", &name)?],
    };
    let source = address("source", spec.source.as_deref().unwrap_or(&name))?;
    let size = |field, given| quantity::bytes(given).map_err(|error| CompileError::Quantity { field, error });
    let config = ChannelConfig {
        destinations,
        generation: metadata.generation.unwrap_or(1),
        delivery: Delivery {
            wait_seconds: unsigned("delivery.waitSeconds", spec.delivery.wait_seconds)?,
            max_wait_seconds: unsigned("delivery.maxWaitSeconds", spec.delivery.max_wait_seconds)?,
            lease_seconds: unsigned("delivery.leaseSeconds", spec.delivery.lease_seconds)?,
            max_lease_seconds: unsigned("delivery.maxLeaseSeconds", spec.delivery.max_lease_seconds)?,
            ..Delivery::default()
        },
        limits: Limits {
            messages: unsigned("limits.messages", spec.limits.messages)?,
            bytes: size("bytes", &spec.limits.bytes)?,
            message_bytes: size("messageBytes", &spec.limits.message_bytes)?,
            ..Limits::default()
        },
        deduplication_window_seconds: unsigned(
            "deduplicationWindowSeconds",
            spec.deduplication_window_seconds,
        )?,
        access: Access { anonymous: spec.access.anonymous },
        ..ChannelConfig::new(uid, &namespace, &name, source)
    };
    config.check()?;
    Ok(config)
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
        assert_eq!(config.destinations, ["acme/orders".parse().unwrap()]);
        assert_eq!(config.source, "acme/orders".parse().unwrap());
        assert_eq!(config.generation, 3);
        assert_eq!(config.delivery, Delivery::default());
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.deduplication_window_seconds, 300);
    }

    #[test]
    fn relative_addresses_become_absolute() {
        let config = compile(&channel(json!({
            "destinations": ["in", "in/second"],
            "source": "out",
            "access": { "anonymous": true },
        })))
        .unwrap();
        assert_eq!(config.destinations, ["acme/in".parse().unwrap(), "acme/in/second".parse().unwrap()]);
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
        assert!(error(json!({ "delivery": { "waitSeconds": -1 }, "access": open })).contains("negative"));
        assert!(
            error(json!({ "delivery": { "waitSeconds": 21 }, "access": open })).contains("maxWaitSeconds")
        );
        assert!(error(json!({ "access": { "anonymous": false } })).contains("access.anonymous"));
    }
}
