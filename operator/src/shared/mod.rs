//! What all rooms share: conditions, errors, events, back-off, and small states that reconciles read.

pub mod backoff;
pub mod conditions;
pub mod default_differs;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod jitter;
pub mod last_writes;
pub mod reported;
pub mod stalled;
pub mod triggers;
pub mod watches;
