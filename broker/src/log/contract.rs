//! What the channels ask of a log.

use std::{
    ops::Range,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{AppendError, LogError, Position, Record, RecordHead};

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// As durable as the log makes anything; on disk, for a log on one.
    Now,
    /// Written: it outlives the process, and the next sync makes it durable.
    Later,
}

/// Which group commit of a log, since it was opened: one more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BatchNumber(pub u64);

impl BatchNumber {
    /// The group after this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Segments in use.
    pub segments: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Bytes of the records that are still needed.
    pub live_bytes: u64,
    /// Segments ready for use.
    pub spares: u64,
    /// Whether pushes are refused until something was freed.
    pub is_scarce: bool,
    /// Bytes of records that there is room for besides, as far as is known.
    pub room_bytes: Option<u64>,
}

/// What a record is appended for, and so which part of the last room it may take. Each leaves what those after it need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A message comes: a push, or a move from another channel.
    Store,
    /// A message stays and something about it changes: a lease, a renewal, a release, a redrive within its channel.
    Change,
    /// A message goes, or is given up: a settle, an expiry, a purge, a dead letter that stays in its channel.
    Settle,
    /// What is still needed is copied, so that a part of the log can be given back.
    Copy,
}

/// How far a new owner has come through what owners before have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// There is more.
    Part,
    /// That was all.
    All,
}

/// What is told of the records that owners before have left: where each lies, and its head.
pub type ReplayVisitor<'a> = dyn FnMut(Position, &RecordHead<'_>) + 'a;

/// Records as they follow one another in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Each record's bytes, which the log has checked, with where it lies.
    pub records: Vec<(Position, Bytes)>,
    /// Records of messages among them that are not what was written, or cannot be read: the head of each as it was written, and
    /// perhaps more.
    pub broken: Vec<(Position, Bytes)>,
    /// Where to go on; absent at the end of what was asked for.
    pub next: Option<Position>,
}

/// A record's bytes.
#[derive(Debug)]
pub enum Read {
    /// They were in memory.
    Here(Bytes),
    /// They come from a disk, or over a network.
    Coming(Coming),
}

/// Bytes on their way. They come although the record is released meanwhile; and after an error the log is of no more use.
pub type Coming = oneshot::Receiver<Result<Bytes, LogError>>;

/// A log with one owner, who appends records to an open group and commits it.
///
/// Groups are committed asynchronously: [`Self::commit`] says what is to be committed and never waits for a disk that is
/// slow or for a network, and [`Self::poll_commit`] tells how each group went, in any order. Whoever answers requests keeps
/// to the order of the groups: none counts before all that were committed earlier.
///
/// After any error the log is of no more use: nobody knows what became of the groups in flight, and whoever opens the log
/// next decides. No method is called from two tasks: the waker that was given last is woken.
pub trait Log: Send + 'static {
    /// Appends a record to the open group, if there is room for its purpose.
    fn append(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<Position, AppendError>;

    /// Whether a record of at most so many bytes would be appended for this purpose. True until something else is appended.
    fn has_room(&mut self, purpose: Purpose, bytes: usize) -> bool {
        let _ = (purpose, bytes);
        true
    }

    /// Tells how many bytes of records what is stored may still take before it is gone: they are kept from pushes.
    fn promise(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Bytes of the longest record that it takes.
    fn longest_record(&self) -> u64;

    /// The part of the log that the next record goes to, unless it has no more room there: another number, another part. Parts
    /// are given up whole, so whoever wants something known for as long as others are says it once in each.
    fn current_part(&self) -> u64;

    /// The part that a record lies in.
    fn part_of(at: Position) -> u64
    where
        Self: Sized;

    /// Bytes of the open group.
    fn open_bytes(&self) -> usize;

    /// Whether nothing was appended since the last commit.
    fn batch_is_empty(&self) -> bool;

    /// Whether one more group may be in flight.
    fn takes_batch(&self) -> bool;

    /// Ready when [`Self::takes_batch`] says so. If too many are in flight, [`Self::poll_commit`] has news before.
    fn poll_takes_batch(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Begins to commit the open group, which may be empty: then only what was written before is synced. Called when
    /// [`Self::takes_batch`]. The next group is open when it returns.
    fn commit(&mut self, sync: Sync) -> BatchNumber;

    /// How far the next of the groups in flight has come: as far as its commit promised, or failed, each told once; and
    /// before that, if the log tells that apart, that a group is written which is to be synced. Pending for ever when none
    /// is in flight.
    ///
    /// [`LogError::Fenced`] says that somebody else owns the log by now; nothing that was in flight is in it then, unless it
    /// was told as committed.
    fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<(BatchNumber, Result<Sync, LogError>)>;

    /// Whether something was written that no commit under way will sync.
    fn needs_sync(&self) -> bool;

    /// Reads the bytes of a record that was appended and is still needed, whether it is committed or not. Never waits.
    fn read(&mut self, at: Position) -> Result<Read, LogError>;

    /// A record is no longer needed. Told once for each.
    fn release(&mut self, at: Position);

    /// A record that may lie in an older log is needed by this owner: told for each after a start with such logs.
    fn hold(&mut self, at: Position) {
        let _ = at;
    }

    /// Why the log is of no more use: the first error, once to whoever is told first; then [`LogError::Poisoned`].
    fn failure(&mut self) -> LogError {
        LogError::Poisoned
    }

    /// Nothing more will be appended, and everything is committed: the log ends in order.
    fn close(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// What the log holds.
    fn stats(&self) -> LogStats;

    /// Whether there are records of older logs, which were written by others as well and are freed by and by. What says that
    /// one of them is over is needed until then.
    fn has_older(&self) -> bool {
        false
    }

    /// Which part of the log is worth freeing: the owner walks it, appends again what is still needed, and frees it.
    fn reclaim_wanted(&self) -> Option<Range<Position>>;

    /// Tells the next part of the records that owners before have left, in the order in which they lie there. An owner begins
    /// by asking until it has been told all; they count as needed until they are released.
    ///
    /// Without their contents, so that a log may keep the heads where they are read faster. Whoever needs a content reads it.
    fn poll_replay(
        &mut self,
        visit: &mut ReplayVisitor<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Replayed, LogError>>;

    /// Reads committed records from a position on, up to another or to the log's end, about `max_bytes` at a time. One scan is
    /// under way at a time: it is asked for until it is ready.
    fn poll_scan(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Scanned, LogError>>;

    /// Frees a part that ends at `below`, which [`Self::reclaim_wanted`] said and which was scanned to its end. `copies` is the
    /// group with the last of what was appended again: it was committed with [`Sync::Now`].
    fn poll_free(
        &mut self,
        below: Position,
        copies: BatchNumber,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>>;
}

/// Whether a record is needed until its owner releases it: messages, keys, and what was last written of a message. Others are
/// needed only beside such a one.
pub(super) fn counts_as_live(record: &Record<'_>) -> bool {
    match record {
        Record::Push { .. }
        | Record::Message { .. }
        | Record::Lease { .. }
        | Record::Release { .. }
        | Record::State { .. }
        | Record::IdempotencyKey { .. }
        | Record::Key { .. }
        | Record::ChannelKey { .. } => true,
        Record::Settle { .. }
        | Record::Clock { .. }
        | Record::Channel { .. }
        | Record::ChannelClosed { .. } => false,
    }
}
