//! The log below the channels: a record of every event, in order, which a restart replays.
//!
//! [`Log`] is the contract of every log, and the tests in `conformance/` check it; [`disk`] is the log on disk.
//!
//! Architecture Invariant: nothing here knows the meaning of a channel. A log knows the bytes of records, and which
//! records are still needed, because their owner tells it.

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
#[cfg(test)]
pub(crate) use record::EncodedTarget;
pub use record::{
    ChannelId, Ended, Idempotency, MovedFrom, ParcelId, ParcelNumber, Record, RecordHead, RecordedPhase,
    RemovalCause, Target, Targets,
};
