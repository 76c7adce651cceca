//! The log below the channels: what happened, in order, on disk.
//!
//! Architecture Invariant: nothing here knows what a channel does; it knows records' bytes, and which are still needed
//! because their owner says so.

pub mod disk;
pub mod record;

pub use disk::{AppendError, Cursor, DiskLog, LogError, LogStats, OpenError, Options, Position, Scanned};
pub use record::{Ended, Idempotency, Record, RecordedPhase, Target, Targets};

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// On disk when it returns.
    Now,
    /// Written: it outlives the process, and the next sync puts it on disk.
    Later,
}
