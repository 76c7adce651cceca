//! Keeps brokers running and their address stores filled, from MessageBrokers and MessageChannels.
//!
//! Every reconcile is `dereference → validate → build → apply → status`, one file per step; `validate` and `build` take
//! no client. MessageBroker reconciles make Kubernetes objects. MessageChannel reconciles make nothing: the [`fleet`]
//! programs broker pods, one task per broker, and asks for a reconcile when the status of a channel should change.
//!
//! Architecture Invariant: the operator never touches a message, and nothing is deleted on absence. Only a finalizer that
//! saw a delete deletes a channel at a broker.

pub mod admin;
pub mod backoff;
pub mod conditions;
pub mod config;
pub mod context;
pub mod default_broker;
pub mod default_differs;
pub mod default_operator;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod fleet;
pub mod foreign_channels;
pub mod jitter;
pub mod last_writes;
pub mod logging;
pub mod message_broker;
pub mod message_channel;
pub mod metrics;
pub mod names;
pub mod ownership;
pub mod release_finalizers;
pub mod run;
pub mod signals;
pub mod stalled;
pub mod unreadable;
pub mod watchdog;
