//! The log of a shard, and its state: the open batch, the batches in flight, tickets for the answers that wait, and
//! what the log must still hold.

pub(in crate::shard) mod channel_names;
pub(in crate::shard) mod clock_mark;
pub(in crate::shard) mod commit_batch;
mod commits;
mod cut;
mod in_flight;
pub(in crate::shard) mod read;
pub(in crate::shard) mod reserve;
mod samples;
pub(in crate::shard) mod unreadable;

use std::sync::Arc;

use tokio::sync::Notify;

pub use commit_batch::{StoreFailed, Ticket};
pub use read::Reading;
pub use samples::Samples;
pub use unreadable::{ReadBack, UnreadableMessage};

use crate::{
    clock::Millis,
    first_failure::FirstFailure,
    log::{BatchNumber, Log, Sync},
    metrics::Metrics,
};
use channel_names::NamedChannels;
use clock_mark::LastMark;
use commit_batch::CommitBatch;
use in_flight::InFlight;
use unreadable::ReadErrors;

/// A shard's log and its state.
pub(in crate::shard) struct Ledger<L> {
    pub(in crate::shard) log: L,
    /// Channels that the current part of the log names.
    pub(in crate::shard) named: NamedChannels,
    pub(in crate::shard) marked: LastMark,
    /// State records that the messages of all channels may still need: see [`reserve`].
    pub(in crate::shard) reserved_records: u64,
    unreadable: ReadErrors,
    open_batch: Arc<CommitBatch>,
    /// The durability of the open batch.
    open_batch_sync: Sync,
    /// A sync was requested, even if the open batch is empty.
    sync_wanted: bool,
    in_flight: InFlight,
    /// The newest batch given to the log for commit.
    newest: BatchNumber,
    /// The newest synced batch; all before it are synced as well.
    durable: BatchNumber,
    failed: bool,
    /// Why the first log of the broker failed.
    failure: FirstFailure,
    /// The open batch has its first record.
    wake_commit: Arc<Notify>,
    metrics: Arc<Metrics>,
}

impl<L: Log> Ledger<L> {
    /// The ledger of a log that was replayed.
    pub(in crate::shard) fn new(
        log: L,
        now: Millis,
        failure: FirstFailure,
        wake_commit: Arc<Notify>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            log,
            named: NamedChannels::default(),
            marked: LastMark::at_start(now),
            reserved_records: 0,
            unreadable: ReadErrors::default(),
            open_batch: Arc::default(),
            open_batch_sync: Sync::Later,
            sync_wanted: false,
            in_flight: InFlight::default(),
            newest: BatchNumber::default(),
            durable: BatchNumber::default(),
            failed: false,
            failure,
            wake_commit,
            metrics,
        }
    }

    /// Why the log failed, if it did.
    pub(in crate::shard) fn failure(&self) -> Option<FirstFailure> {
        self.failed.then(|| self.failure.clone())
    }
}
