//! Code for every kind of custom resource, written once.

pub mod backoff;
pub mod conditions;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod jitter;
pub mod kind;
pub mod last_writes;
pub mod reconcile;
pub mod stalled;
pub mod status;
pub mod triggers;
pub mod unreadable;
