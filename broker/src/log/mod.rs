//! The log below the channels: what happened, in order, where a restart finds it.
//!
//! [`Log`] is what every log does, and `conformance/` holds each to it; [`disk`] is the one on a disk.
//!
//! Architecture Invariant: nothing here knows what a channel does; it knows records' bytes, and which are still needed
//! because their owner says so.

mod contract;
pub mod disk;
mod error;
mod position;
pub mod record;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod memory;

pub use contract::{
    BatchNumber, Coming, Log, LogStats, Purpose, Read, ReplayVisitor, Replayed, Scanned, Sync,
};
pub use disk::{DiskLog, OpenError, Options};
pub use error::{AppendError, LogError, Unread, UnreadRecord};
pub use position::Position;
pub use record::{Ended, Idempotency, Record, RecordHead, RecordedPhase, Target, Targets};
