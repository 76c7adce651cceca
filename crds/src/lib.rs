//! Restante's custom resources: their types, their rules, and what a broker is told of them.
//!
//! Architecture Invariant: this crate knows no Kubernetes client and does no IO, so that the broker can take the very
//! YAML that `kubectl apply` takes without depending on Kubernetes. `crdgen` prints the definitions made from the types.

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

pub use compile::{CompileError, compile};
pub use message_broker::{MessageBroker, MessageBrokerSpec, MessageBrokerStatus};
pub use message_channel::{Backlog, MessageChannel, MessageChannelSpec, MessageChannelStatus};

/// The API group of every kind.
pub const GROUP: &str = "restante.dev";
/// The version of every kind.
pub const VERSION: &str = "v1alpha1";
/// The annotation that deletes a channel together with the messages in it, if its value is [`FORCE_DELETE_VALUE`].
pub const FORCE_DELETE: &str = "restante.dev/force-delete";
/// The one value that does. Whoever writes `false` does not mean it.
pub const FORCE_DELETE_VALUE: &str = "true";
/// The annotation on a MessageBroker that accepts another data folder than the one it had: the id of that one.
pub const ACCEPT_STORE: &str = "restante.dev/accept-store";
/// The MessageBroker that a channel belongs to when it names none.
pub const DEFAULT_BROKER: &str = "default";
/// The longest name of a MessageChannel: one DNS label (RFC 1123).
pub const CHANNEL_NAME_BYTES_MAX: usize = 63;
/// The longest name of a MessageBroker. Its children are called `restante-<name>` and its pods are labelled
/// `restante-<name>-<revision hash of 10>`, which must fit a label value of 63 bytes.
pub const BROKER_NAME_BYTES_MAX: usize = 40;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod rules_tests;
