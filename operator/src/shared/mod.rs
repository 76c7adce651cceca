//! What is the same for every kind: written once, for any custom resource.

pub mod backoff;
pub mod conditions;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod jitter;
pub mod last_writes;
pub mod reconcile;
pub mod stalled;
pub mod triggers;
pub mod unreadable;
