//! The contract between the channels and a log.

use std::{
    ops::Range,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{AppendError, LogError, Position, Record, RecordHead};

/// The durability that a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// As durable as the log can make it. For a log on disk: synced.
    Now,
    /// Written: it survives the process, and the next sync makes it durable.
    Later,
}

/// The number of a commit batch since the log was opened. Batches are numbered without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BatchNumber(pub u64);

impl BatchNumber {
    /// The number of the next batch.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Sizes of a log, for metrics and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    pub segments: u64,
    /// Bytes of these segments.
    pub total_bytes: u64,
    /// Bytes of the records that are still needed.
    pub live_bytes: u64,
    /// Spare segments, ready for use.
    pub spares: u64,
    /// Whether pushes are refused until a segment is freed.
    pub is_disk_full: bool,
    /// Bytes of further records that fit, if that is known.
    pub room_bytes: Option<u64>,
}

/// The purpose of a record, which decides how much of the remaining room it may use. Each purpose leaves the room that
/// the following ones need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A message arrives: a push, or a move from another channel.
    Store,
    /// A message stays and changes: a lease, a renewal, a release, a redrive within its channel.
    Change,
    /// A message leaves or becomes a dead letter: a settle, an expiry, a purge, a dead letter that stays in its
    /// channel.
    Settle,
    /// A record that is still needed is copied, so that a part of the log can be freed.
    Copy,
}

/// The progress of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// More records follow.
    Part,
    /// All records were replayed.
    All,
}

/// Visits each replayed record: its position and its head.
pub type ReplayVisitor<'a> = dyn FnMut(Position, &RecordHead<'_>) + 'a;

/// A part of the log, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The bytes of each record, verified by the log, with its position.
    pub records: Vec<(Position, Bytes)>,
    /// Records of messages that are damaged or unreadable: for each the intact head, and perhaps more bytes.
    pub broken: Vec<(Position, Bytes)>,
    /// Where the next scan continues; nothing at the end of the requested range.
    pub next: Option<Position>,
}

/// The bytes of a record.
#[derive(Debug)]
pub enum Read {
    /// Available in memory.
    Here(Bytes),
    /// On the way from a disk or over a network.
    Coming(Coming),
}

/// Bytes that arrive later. They arrive even if the record is released in the meantime. After an error the log is
/// unusable.
pub type Coming = oneshot::Receiver<Result<Bytes, LogError>>;

/// A log with one owner, who appends records to an open batch and commits it.
///
/// Commits are asynchronous: [`Self::commit`] starts one and never waits for a slow disk or a network.
/// [`Self::poll_commit`] returns the outcome of each batch, in any order. The owner answers requests in the order of
/// the batches: a batch counts only when all earlier ones are committed.
///
/// After any error the log is unusable: the fate of the batches in flight is unknown until the log is opened again.
/// Only one task may call the methods, because only the most recent waker is woken.
pub trait Log: Send + 'static {
    /// Appends a record to the open batch, if there is room for its purpose.
    fn append(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<Position, AppendError>;

    /// Whether a record of at most this number of bytes fits for this purpose. Valid until something else is appended.
    fn has_room(&mut self, purpose: Purpose, bytes: usize) -> bool {
        let _ = (purpose, bytes);
        true
    }

    /// Reserves bytes for the later records of stored messages, such as their leases and settles. Pushes cannot use
    /// this reserve.
    fn promise(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Bytes of the longest record that fits.
    fn longest_record(&self) -> u64;

    /// The number of the part to which the next record goes, unless that part is full. Parts are freed as a whole. So a
    /// fact that must stay known as long as other records has to be written once into each part.
    fn current_part(&self) -> u64;

    /// The part that contains a record.
    fn part_of(at: Position) -> u64
    where
        Self: Sized;

    fn open_bytes(&self) -> usize;

    /// Whether nothing was appended since the last commit.
    fn batch_is_empty(&self) -> bool;

    /// Whether another batch may be in flight.
    fn takes_batch(&self) -> bool;

    /// Ready when [`Self::takes_batch`] is true. If too many batches are in flight, [`Self::poll_commit`] has an
    /// outcome before that.
    fn poll_takes_batch(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Starts to commit the open batch. If it is empty, the commit only syncs earlier writes. Requires
    /// [`Self::takes_batch`]. The next batch is open when this returns.
    fn commit(&mut self, sync: Sync) -> BatchNumber;

    /// The next outcome of a batch in flight: committed with the promised durability, or failed, once for each batch.
    /// If a batch needs a sync, the log may return before that that the batch is written. Pending while no batch is in
    /// flight.
    ///
    /// [`LogError::Fenced`] means that another owner has taken over the log. A batch that was not returned as committed
    /// may or may not be in it, but none enters it any more.
    fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<(BatchNumber, Result<Sync, LogError>)>;

    /// Whether written bytes exist that no commit under way will sync.
    fn needs_sync(&self) -> bool;

    /// Reads a record that was appended and is still needed, committed or not. Never blocks.
    fn read(&mut self, at: Position) -> Result<Read, LogError>;

    /// Marks a record as no longer needed. Called once for each record.
    fn release(&mut self, at: Position);

    /// Marks a record in an older log as needed by this owner. Called for each such record after a start.
    fn hold(&mut self, at: Position) {
        let _ = at;
    }

    /// Why the log is unusable: the first error for the first caller, then [`LogError::Poisoned`].
    fn failure(&mut self) -> LogError {
        LogError::Poisoned
    }

    /// Closes the log cleanly. Nothing more will be appended, and all batches are committed.
    fn close(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Current sizes.
    fn stats(&self) -> LogStats;

    /// Whether older logs still exist, which have records of other owners and are freed gradually. Until then, records
    /// that end something in them are needed.
    fn has_older(&self) -> bool {
        false
    }

    /// The part of the log to free next, if one is worth it: the owner scans it, appends the needed records again, and
    /// frees it.
    fn reclaim_wanted(&self) -> Option<Range<Position>>;

    /// Replays the next part of the earlier owners' records, in log order. A new owner must first replay all of them;
    /// each counts as needed until it is released.
    ///
    /// The contents are left out, so a log may keep the heads where reading them is faster. The owner reads a content
    /// when it needs one.
    fn poll_replay(
        &mut self,
        visit: &mut ReplayVisitor<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Replayed, LogError>>;

    /// Reads committed records from a position up to another one or to the end, about `max_bytes` at a time. Only one
    /// scan is active at a time: the caller polls it until it is ready.
    fn poll_scan(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Scanned, LogError>>;

    /// Frees a part that [`Self::reclaim_wanted`] returned and that was scanned to its end, `below`. `copies` is the
    /// batch with the last copied record, committed with [`Sync::Now`].
    fn poll_free(
        &mut self,
        below: Position,
        copies: BatchNumber,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>>;
}

/// Whether a record is needed until its owner releases it: messages, keys, and the latest state of a message. Other
/// records are only needed together with such a record.
pub(super) fn counts_as_live(record: &Record<'_>) -> bool {
    match record {
        Record::Message { .. } | Record::Lease { .. } | Record::State { .. } | Record::Key { .. } => true,
        Record::Removed { .. }
        | Record::ParcelDelivered { .. }
        | Record::ParcelFloor { .. }
        | Record::Clock { .. }
        | Record::Channel { .. }
        | Record::ChannelClosed { .. } => false,
    }
}
