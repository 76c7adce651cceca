//! Runs brokers and programs their address stores, as described by MessageBrokers and MessageChannels.
//!
//! Every reconcile is `dereference → validate → build → apply → status`, one file per step; `validate` and `build` use
//! no client. Reconciles of MessageBrokers create Kubernetes objects. Reconciles of MessageChannels create none: the
//! [`fleet`] programs the broker pods, with one task per broker, and triggers a reconcile when the status of a channel
//! must change.
//!
//! Architecture Invariant: the operator never touches a message, and nothing is deleted because it is absent. Only a
//! finalizer that saw the deletion of a MessageChannel deletes the channel at its broker.

pub mod admin;
pub mod config;
pub mod context;
pub mod fleet;
pub mod kinds;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod ownership;
pub mod release_finalizers;
pub mod runtime;
pub mod shared;
pub mod signals;
pub mod watchdog;
