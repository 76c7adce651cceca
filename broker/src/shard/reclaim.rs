//! Reclaiming disk space: live records in the oldest segment are copied to the newest, and the oldest is freed.
//!
//! It runs in small steps between the requests, so that none waits for more than one step.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::Display,
    task::{Context, Poll},
};

use crate::{
    channel::{Message, Sequence},
    clock::Millis,
    log::{
        AppendError, BatchNumber, ChannelId, Log, MovedFrom, ParcelId, Position, Record, RecordHead,
        RemovalCause, Scanned, Sync, Target, Targets,
    },
    shard::{Shard, StoreFailed, facts::records, ledger::reserve::ROOM_AGAIN_AFTER_MS, pacer::Pacer},
};

/// Bytes of the oldest segment per step: about a millisecond of copying in the worst case.
const STEP_BYTES: usize = 256 * 1024;

/// Pause before a part of the log is walked again that could not be freed. It should be short after a purge.
const AGAIN_AFTER: Millis = 60_000;

/// Progress of the copying.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    stage: Stage,
    pacer: Pacer,
    /// A message in the walked part that is unreadable and still needed: the part must not be freed.
    holds: Option<String>,
    /// When an unfreeable part is tried again.
    pub(super) again_at: Millis,
    /// The next sequence of each channel when the broker started, if there were older logs.
    new_from: Option<HashMap<ChannelId, Sequence>>,
}

impl Reclaim {
    /// Of a shard whose channels had these next sequences at the start.
    pub(super) fn since(new_from: Option<HashMap<ChannelId, Sequence>>) -> Self {
        Self { new_from, ..Self::default() }
    }
}

#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    #[default]
    Idle,
    /// Records from `from` up to `below` are still to be walked.
    Walking { from: Position, below: Position },
    /// All live records before `below` are copied, in batch `copies` at the latest.
    Copied { below: Position, copies: BatchNumber },
}

/// Why copying stops for now.
#[derive(Debug)]
pub(super) enum Stopped {
    Failed(StoreFailed),
    /// The copies have no room. They are made when there is some.
    NoRoom,
}

impl From<StoreFailed> for Stopped {
    fn from(failed: StoreFailed) -> Self {
        Self::Failed(failed)
    }
}

/// What follows a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is nothing to reclaim.
    Idle,
    /// Another step.
    More,
    /// Another step, when the log has read, committed or freed something.
    Waiting,
    /// Another step, after this pause in milliseconds: enough was copied for now.
    Later(Millis),
}

impl<L: Log> Shard<L> {
    /// Takes one step of reclaiming.
    pub fn reclaim_step(&mut self, context: &mut Context<'_>) -> Result<Progress, StoreFailed> {
        if self.has_failed() {
            return Ok(Progress::Idle);
        }
        match self.reclaim.stage {
            Stage::Idle => {
                let now = self.clock.now();
                if self.reclaim.again_at > now {
                    return Ok(Progress::Later(self.reclaim.again_at - now));
                }
                let Some(part) = self.ledger.log.reclaim_wanted() else { return Ok(Progress::Idle) };
                self.walk(part.start, part.end, context)
            }
            Stage::Walking { from, below } => self.walk(from, below, context),
            Stage::Copied { below, copies } => self.free(below, copies, context),
        }
    }

    /// Whether there are logs of another number of shards, which are removed when they are copied.
    pub(crate) fn has_older_log(&self) -> bool {
        self.ledger.log.has_older()
    }

    /// [`Self::reclaim_step`], ready when the step was taken.
    pub fn poll_reclaim(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.reclaim_step(context) {
            // The step may have begun a commit, which must wake this task as well.
            Ok(Progress::Waiting) => self.poll_commits(context),
            // A failure is remembered, and reported to the next caller.
            Ok(Progress::Idle | Progress::More | Progress::Later(_)) | Err(StoreFailed) => Poll::Ready(()),
        }
    }

    fn walk(
        &mut self,
        from: Position,
        below: Position,
        context: &mut Context<'_>,
    ) -> Result<Progress, StoreFailed> {
        self.reclaim.stage = Stage::Walking { from, below };
        if let Some(pause) =
            self.reclaim.pacer.pause(self.clock.now()).filter(|_| !self.ledger.log.stats().is_disk_full)
        {
            return Ok(Progress::Later(pause));
        }
        let Poll::Ready(scanned) = self.ledger.log.poll_scan(from, Some(below), STEP_BYTES, context) else {
            return Ok(Progress::Waiting);
        };
        let scanned = match scanned {
            Err(error) if error.is_of_one_record() => return Ok(self.leave_for_now(&error)),
            scanned => scanned,
        };
        let Scanned { records, broken, next } = self.ledger.check(scanned)?;
        for (position, head) in broken {
            let (RecordHead { record, .. }, _) =
                RecordHead::decode_first(&head).expect("the log has checked the head");
            if let Some(message) = self.needed(position, &record) {
                self.reclaim.holds.get_or_insert(message);
            } else if let Err(stopped) = self.keep(position, &record) {
                return self.stop_walking(stopped);
            }
        }
        for (position, bytes) in records {
            let record = Record::decode(&bytes).expect("the log has checked the record");
            if let Err(stopped) = self.keep(position, &record) {
                return self.stop_walking(stopped);
            }
        }
        if let Some(from) = next {
            self.reclaim.stage = Stage::Walking { from, below };
            return Ok(Progress::More);
        }
        self.ledger.marked.on_this_walk = false;
        self.facts.incoming.end_walk();
        if let Some(held) = self.reclaim.holds.take() {
            return Ok(self.leave_for_now(&format_args!("{held} cannot be read and is still needed")));
        }
        let copies = self.sync();
        self.free(below, copies, context)
    }

    /// Copies made so far stand; the rest follows when there is room again.
    fn stop_walking(&mut self, stopped: Stopped) -> Result<Progress, StoreFailed> {
        if let Stopped::Failed(failed) = stopped {
            return Err(failed);
        }
        self.reclaim.stage = Stage::Idle;
        Ok(Progress::Later(ROOM_AGAIN_AFTER_MS))
    }

    /// Leaves the walked part, because an unreadable record in it is still needed: an acknowledged message must not be
    /// dropped for a disk error. The walk is tried again until the record is readable or not needed.
    fn leave_for_now(&mut self, why: &dyn Display) -> Progress {
        tracing::warn!(
            error = %why,
            "the oldest part of the log cannot be freed; repair the disk and redrive the unreadable dead letters, or purge \
             them, or salvage the data folder"
        );
        self.reclaim.stage = Stage::Idle;
        self.reclaim.again_at = self.clock.now() + AGAIN_AFTER;
        Progress::Later(AGAIN_AFTER)
    }

    /// Frees the walked part. The copies are on disk before the originals are freed.
    fn free(
        &mut self,
        below: Position,
        copies: BatchNumber,
        context: &mut Context<'_>,
    ) -> Result<Progress, StoreFailed> {
        self.reclaim.stage = Stage::Copied { below, copies };
        self.alive()?;
        if !self.ledger.is_durable(copies) {
            return Ok(Progress::Waiting);
        }
        let Poll::Ready(freed) = self.ledger.log.poll_free(below, copies, context) else {
            return Ok(Progress::Waiting);
        };
        self.ledger.check(freed)?;
        self.reclaim.stage = Stage::Idle;
        if self.ledger.reserved_records > 0 {
            self.change_reserve(0, 0);
        }
        Ok(Progress::More)
    }

    /// Copies the live part of a record in the oldest segment.
    fn keep(&mut self, position: Position, record: &Record<'_>) -> Result<(), Stopped> {
        match *record {
            Record::Message { .. } => self.keep_message(position, record),
            Record::Lease { channel, sequence, .. } | Record::State { channel, sequence, .. } => {
                self.keep_state(channel, sequence, position)
            }
            Record::Key { .. } => self.keep_key(position, record),
            Record::Removed { channel, sequence, cause } => self.keep_removal(channel, sequence, cause),
            Record::ParcelDelivered { parcel } => self.keep_delivered(parcel),
            Record::ParcelFloor { shard, .. } => self.keep_floor(shard),
            // Each part of the log names its own channels.
            Record::Channel { .. } => Ok(()),
            Record::ChannelClosed { channel, .. } => self.keep_closed(channel, record),
            Record::Clock { .. } => self.keep_mark(),
        }
    }

    /// Copies a message for the channels that still have it.
    fn keep_message(&mut self, position: Position, record: &Record<'_>) -> Result<(), Stopped> {
        let Record::Message { targets, parcel, moved_from, .. } = *record else { return Ok(()) };
        self.keep_receipt(record)?;
        let parcel = parcel.filter(|parcel| self.is_parcel_at(*parcel, position));
        let lives = |target: &Target| {
            let message = self.message(target.channel, target.sequence);
            message.is_some_and(|message| message.stored.position == position)
                || (parcel.is_some() && target.is_to_come())
        };
        let live: Vec<Target> = targets.iter().filter(lives).collect();
        let Some(first) = live.first().map(|target| target.channel) else {
            match moved_from {
                Some(MovedFrom::Channel { channel, sequence }) => {
                    self.keep_removal(channel, sequence, RemovalCause::Moved)?;
                }
                Some(MovedFrom::Parcel { parcel, .. }) => self.keep_delivered(parcel)?,
                None => {}
            }
            return self.keep_key(position, record);
        };
        let mut bytes = Vec::with_capacity(live.len() * Target::BYTES);
        live.iter().for_each(|target| target.encode(&mut bytes));
        // A message's key belongs to the first of its channels.
        let with_key = targets.first().channel == first && self.is_key_at(position, record);
        let mut copy = *record;
        if let Record::Message { targets, parcel: copied, idempotency, .. } = &mut copy {
            *targets = Targets::new(&bytes);
            *copied = parcel;
            *idempotency = idempotency.filter(|_| with_key);
        }
        self.append_copy(&copy, position)?;
        if with_key { Ok(()) } else { self.keep_key(position, record) }
    }

    /// Copies a removal while there are older logs, which may have copies of its message. In its own log a removal
    /// outlives all of them without help: segments are freed only from the oldest end.
    fn keep_removal(
        &mut self,
        channel: ChannelId,
        sequence: Sequence,
        cause: RemovalCause,
    ) -> Result<(), Stopped> {
        if !self.here.owns(channel) || !self.has_new_from() {
            return Ok(());
        }
        let new_from = self.reclaim.new_from.as_ref().and_then(|new_from| new_from.get(&channel));
        let is_new = new_from.is_none_or(|new_from| sequence >= *new_from);
        if !is_new && self.message(channel, sequence).is_none() {
            self.append_copy(&Record::Removed { channel, sequence, cause }, None)?;
        }
        Ok(())
    }

    /// [`Self::keep_removal`] for a parcel.
    fn keep_delivered(&mut self, parcel: ParcelId) -> Result<(), Stopped> {
        if !self.here.sends(parcel) || !self.has_new_from() {
            return Ok(());
        }
        if !self.outgoing.has_assigned(parcel) && !self.facts.parcels.contains_key(&parcel) {
            self.append_copy(&Record::ParcelDelivered { parcel }, None)?;
        }
        Ok(())
    }

    /// Whether there are older logs, and so sequences at which the new messages begin.
    fn has_new_from(&mut self) -> bool {
        if !self.ledger.log.has_older() {
            self.reclaim.new_from = None;
        }
        self.reclaim.new_from.is_some()
    }

    /// Copies a deletion while there are older logs. In its own log it outlives all records of the channel, which come
    /// before it.
    fn keep_closed(&mut self, channel: ChannelId, record: &Record<'_>) -> Result<(), Stopped> {
        if self.here.owns(channel) && self.ledger.log.has_older() {
            self.append_copy(record, None)?;
        }
        Ok(())
    }

    /// Copies the state of a message, if this is its newest record.
    fn keep_state(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        position: Position,
    ) -> Result<(), Stopped> {
        let Some(message) = self.message(channel_id, sequence).map(Cow::into_owned) else { return Ok(()) };
        if message.state_at == Some(position) {
            // Not the record itself: events of time since then have none.
            let state = message.in_phase(message.phase.clone());
            self.append_copy(&records::state(channel_id, sequence, &state), position)?;
        }
        Ok(())
    }

    /// Copies an idempotency key without its message, while its window is open.
    fn keep_key(&mut self, position: Position, record: &Record<'_>) -> Result<(), Stopped> {
        let key = record.key().filter(|_| self.is_key_at(position, record));
        if let Some((channel, idempotency, message_id)) = key {
            if self.facts.closed.contains_key(&channel) {
                self.facts.keys.remove(idempotency.hash, position);
                return Ok(());
            }
            self.append_copy(&Record::Key { channel, idempotency, message_id }, position)?;
        }
        Ok(())
    }

    /// Whether a record's key is remembered by this record.
    fn is_key_at(&self, position: Position, record: &Record<'_>) -> bool {
        let now = self.clock.now();
        record.key().is_some_and(|(_, key, _)| self.facts.keys.is_at(key.hash, position, now))
    }

    /// Appends and applies a copy of the record at `copy_of`, or a record that replaces others.
    pub(super) fn append_copy(
        &mut self,
        record: &Record<'_>,
        copy_of: impl Into<Option<Position>>,
    ) -> Result<(), Stopped> {
        let appended = self.append_copied(record);
        if appended == Err(AppendError::Full) {
            return Err(Stopped::NoRoom);
        }
        let position = self.ledger.check_appended(appended)?;
        self.apply(position, record, copy_of.into());
        self.reclaim.pacer.copied(record.encoded_len() as u64, self.clock.now());
        // Nothing waits for a copy: it is synced before the original is freed.
        let _ = self.ledger.appended(Sync::Later);
        Ok(())
    }

    /// Reports a written batch, with or without copies, to the pacer.
    pub(super) fn pace(&mut self, bytes: usize) {
        self.reclaim.pacer.wrote(bytes as u64, self.clock.now());
    }

    pub(super) fn message(&self, channel_id: ChannelId, sequence: Sequence) -> Option<Cow<'_, Message>> {
        self.facts.channels.get(&channel_id)?.state.message(sequence)
    }
}
