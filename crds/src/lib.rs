//! Restante's custom resources: their types, their rules, and the channel configuration compiled from them.
//!
//! Architecture Invariant: this crate uses no Kubernetes client and does no IO. So the broker reads the same YAML as
//! `kubectl apply` without depending on Kubernetes. `crdgen` prints the definitions generated from the types.

#![warn(missing_docs)]

pub mod compile;
pub mod condition;
pub mod conflicts;
pub mod dead_letters;
pub mod definitions;
pub mod manifest;
#[expect(unreachable_pub, reason = "derive(KubeSchema) repeats each struct inside a function")]
pub mod message_broker;
#[expect(unreachable_pub, reason = "derive(KubeSchema) repeats each struct inside a function")]
pub mod message_channel;
pub mod quantity;
mod structural;

pub use compile::{CompileError, compile};
pub use message_broker::{MessageBroker, MessageBrokerSpec, MessageBrokerStatus};
pub use message_channel::{Backlog, MessageChannel, MessageChannelSpec, MessageChannelStatus};

/// The API group of every kind.
pub const GROUP: &str = "restante.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
/// The annotation that deletes a channel together with its messages, if its value is [`FORCE_DELETE_VALUE`].
pub const FORCE_DELETE: &str = "restante.dev/force-delete";
/// The only value of [`FORCE_DELETE`] that deletes messages: an annotation with the value `false` must not.
pub const FORCE_DELETE_VALUE: &str = "true";
/// The annotation that makes a MessageBroker accept a replaced data folder. Its value is the `storeId` of the new
/// folder.
pub const ACCEPT_STORE: &str = "restante.dev/accept-store";
/// The MessageBroker of a channel whose `brokerRef` has no name.
pub const DEFAULT_BROKER: &str = "default";
/// The longest name of a MessageChannel: one DNS label (RFC 1123).
pub const CHANNEL_NAME_BYTES_MAX: usize = 63;
/// The longest name of a MessageBroker. Its children are named `restante-<name>`. Its pods have the label
/// `restante-<name>-<revision hash of 10>`, which must fit into a label value of 63 bytes.
pub const BROKER_NAME_BYTES_MAX: usize = 40;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod docs_tests;
#[cfg(test)]
mod rules_tests;
