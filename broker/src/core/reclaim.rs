//! Giving disk space back: what is live in the oldest segment is copied to the newest, and the oldest is freed.
//!
//! In small steps between the requests, so that nobody waits for more than one.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt::Display,
    task::{Context, Poll},
};

use super::{
    Core, StoreFailed, idempotency::KeyRecord, pacer::Pacer, placement::is_outbox,
    promise::ROOM_AGAIN_AFTER_MS, records,
};
use crate::{
    channel::{Message, Sequence},
    clock::Millis,
    log::{AppendError, GroupNumber, Log, Position, Record, RecordHead, Scanned, Sync, Target, Targets},
};

/// How much of the oldest segment one step looks at: about a millisecond of copying in the worst case.
const STEP_BYTES: usize = 256 * 1024;

/// When a part of the log is walked again that could not be freed: soon enough for whoever has purged what was in it.
const AGAIN_AFTER: Millis = 60_000;

/// Where the copying is.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    stage: Stage,
    pacer: Pacer,
    /// A message in what is walked that cannot be read and is still needed: nothing may be freed.
    holds: Option<String>,
    /// When it is tried again.
    pub(super) again_at: Millis,
    /// The sequences that channels had not given yet when the broker started, if there were older logs.
    new_from: Option<HashMap<u32, Sequence>>,
}

impl Reclaim {
    /// Of a core whose channels had given the sequences before these.
    pub(super) fn since(new_from: Option<HashMap<u32, Sequence>>) -> Self {
        Self { new_from, ..Self::default() }
    }
}

#[derive(Debug, Clone, Copy, Default)]
enum Stage {
    #[default]
    Idle,
    /// What lies from `from` up to `below` was not looked at yet.
    Walking { from: Position, below: Position },
    /// What is live of all before `below` is in the group `copies` at the latest.
    Copied { below: Position, copies: GroupNumber },
}

/// Why copying goes no further for now.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The log failed.
    Failed(StoreFailed),
    /// The copies have no room. They are made when they do.
    NoRoom,
}

impl From<StoreFailed> for Stopped {
    fn from(failed: StoreFailed) -> Self {
        Self::Failed(failed)
    }
}

/// What comes after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is worth copying.
    Idle,
    /// Another step.
    More,
    /// Another step, when the log has read, committed or freed something.
    Waiting,
    /// Another step, but not before so many milliseconds: enough was copied for now.
    Later(Millis),
}

impl<L: Log> Core<L> {
    /// One step of giving space back.
    pub fn reclaim_step(&mut self, context: &mut Context<'_>) -> Result<Progress, StoreFailed> {
        if self.failed {
            return Ok(Progress::Idle);
        }
        match self.reclaim.stage {
            Stage::Idle => {
                let now = self.clock.now();
                if self.reclaim.again_at > now {
                    return Ok(Progress::Later(self.reclaim.again_at - now));
                }
                let Some(part) = self.log.reclaim_wanted() else { return Ok(Progress::Idle) };
                self.walk(part.start, part.end, context)
            }
            Stage::Walking { from, below } => self.walk(from, below, context),
            Stage::Copied { below, copies } => self.free(below, copies, context),
        }
    }

    /// Whether there are logs of another number of cores, which go when what is in them is copied.
    pub(super) fn has_older_log(&self) -> bool {
        self.log.has_older()
    }

    /// The same, ready when the step was done.
    pub fn poll_reclaim(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.reclaim_step(context) {
            // The step may have begun a commit, which has to wake this task as well.
            Ok(Progress::Waiting) => self.poll_commits(context),
            // A failure is remembered, and whoever asks next is told.
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
            self.reclaim.pacer.pause(self.clock.now()).filter(|_| !self.log.stats().is_scarce)
        {
            return Ok(Progress::Later(pause));
        }
        let Poll::Ready(scanned) = self.log.poll_scan(from, Some(below), STEP_BYTES, context) else {
            return Ok(Progress::Waiting);
        };
        let scanned = match scanned {
            Err(error) if error.is_of_one_record() => return Ok(self.leave_for_now(&error)),
            scanned => scanned,
        };
        let Scanned { records, broken, next } = self.survive(scanned)?;
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
        self.marked.on_this_walk = false;
        if let Some(held) = self.reclaim.holds.take() {
            return Ok(self.leave_for_now(&format_args!("{held} cannot be read and is still needed")));
        }
        let copies = self.sync();
        self.free(below, copies, context)
    }

    /// What was copied by now is; the rest is when there is room again.
    fn stop_walking(&mut self, stopped: Stopped) -> Result<Progress, StoreFailed> {
        if let Stopped::Failed(failed) = stopped {
            return Err(failed);
        }
        self.reclaim.stage = Stage::Idle;
        Ok(Progress::Later(ROOM_AGAIN_AFTER_MS))
    }

    /// What was walked stays where it is, because something in it cannot be read: nothing that was acknowledged is dropped for
    /// that. Until it can be read, or nobody needs it.
    fn leave_for_now(&mut self, why: &dyn Display) -> Progress {
        tracing::warn!(
            error = %why,
            "the oldest part of the log cannot be freed: redrive the dead letters that cannot be read once the disk is well, or purge \
             them, or salvage the data folder"
        );
        self.reclaim.stage = Stage::Idle;
        self.reclaim.again_at = self.clock.now() + AGAIN_AFTER;
        Progress::Later(AGAIN_AFTER)
    }

    /// Frees what was walked. The copies are on disk before the originals go.
    fn free(
        &mut self,
        below: Position,
        copies: GroupNumber,
        context: &mut Context<'_>,
    ) -> Result<Progress, StoreFailed> {
        self.reclaim.stage = Stage::Copied { below, copies };
        self.alive()?;
        if self.durable_group < copies {
            return Ok(Progress::Waiting);
        }
        let Poll::Ready(freed) = self.log.poll_free(below, copies, context) else {
            return Ok(Progress::Waiting);
        };
        self.survive(freed)?;
        self.reclaim.stage = Stage::Idle;
        if self.owed > 0 {
            self.owe(0, 0);
        }
        Ok(Progress::More)
    }

    /// Copies what is still live of a record in the oldest segment.
    fn keep(&mut self, position: Position, record: &Record<'_>) -> Result<(), Stopped> {
        match *record {
            Record::Push { channel, sequence, message_id, enqueued_ms, idempotency, headers, body } => {
                let mut targets = Vec::with_capacity(Target::BYTES);
                Target { channel, sequence, expires_ms: None }.encode(&mut targets);
                let as_message = Record::Message {
                    targets: Targets::new(&targets),
                    message_id,
                    enqueued_ms,
                    idempotency,
                    due_ms: None,
                    group: None,
                    moved_from: None,
                    headers,
                    body,
                };
                self.keep_message(position, &as_message)
            }
            Record::Message { .. } => self.keep_message(position, record),
            Record::Lease { channel, sequence, .. }
            | Record::Release { channel, sequence, .. }
            | Record::State { channel, sequence, .. } => self.keep_state(channel, sequence, position, record),
            Record::IdempotencyKey { .. } | Record::Key { .. } | Record::ChannelKey { .. } => {
                self.keep_key(position, record)
            }
            Record::Settle { channel, sequence } => self.keep_settle(channel, sequence),
            // Each part of the log that needs one has one of its own.
            Record::Channel { .. } => Ok(()),
            Record::ChannelClosed { channel, .. } => self.keep_closed(channel, record),
            Record::Clock { .. } => self.keep_mark(),
        }
    }

    /// Copies a message for those of its channels that still have it.
    fn keep_message(&mut self, position: Position, record: &Record<'_>) -> Result<(), Stopped> {
        let Record::Message { targets, moved_from, .. } = *record else { return Ok(()) };
        self.keep_taken(record)?;
        let goes_out = targets.iter().any(|target| self.goes_out(&target, position));
        let lives = |target: &Target| {
            let message = self.message(target.channel, target.sequence);
            message.is_some_and(|message| message.stored.position == position)
                || (goes_out && (target.is_to_come() || is_outbox(target.channel)))
        };
        let live: Vec<Target> = targets.iter().filter(lives).collect();
        let Some(first) = live.first().map(|target| target.channel) else {
            if let Some((channel, sequence)) = moved_from {
                self.keep_settle(channel, sequence)?;
            }
            return self.keep_key(position, record);
        };
        let mut bytes = Vec::with_capacity(live.len() * Target::BYTES);
        live.iter().for_each(|target| target.encode(&mut bytes));
        // The first of a message's channels is its key's.
        let with_key = record.key_channel() == Some(first) && self.is_key_at(position, record);
        let mut copy = *record;
        if let Record::Message { targets, idempotency, .. } = &mut copy {
            *targets = Targets::new(&bytes);
            *idempotency = idempotency.filter(|_| with_key);
        }
        let to = self.append_copy(&copy)?;
        for Target { channel, sequence, .. } in live.iter().filter(|target| !target.is_to_come()) {
            match self.channels.get_mut(channel) {
                Some(channel) => channel.state.relocate(*sequence, to),
                None => self.outbox.relocate((*channel, *sequence), to),
            }
        }
        self.shared.relocate(position, to);
        self.log.release(position);
        match record.key().filter(|_| with_key) {
            Some((key, _)) => {
                self.idempotency.relocate(key.hash, position, KeyRecord { position: to, alone: false });
            }
            None => self.keep_key(position, record)?,
        }
        Ok(())
    }

    /// Whether a target is the outbox, which has a message by this very record.
    pub(super) fn goes_out(&self, target: &Target, position: Position) -> bool {
        is_outbox(target.channel) && self.outbox.is_at((target.channel, target.sequence), Some(position))
    }

    /// A settle outlives every copy of its message in its own log without help: segments leave from the oldest end only. As
    /// long as there are older logs, what they may have is settled once more.
    fn keep_settle(&mut self, channel: u32, sequence: Sequence) -> Result<(), Stopped> {
        let Some(new_from) = self.reclaim.new_from.as_ref().filter(|_| self.here.has(channel)) else {
            return Ok(());
        };
        if !self.log.has_older() {
            self.reclaim.new_from = None;
            return Ok(());
        }
        let message = (channel, sequence);
        let (is_new, is_there) = if is_outbox(channel) {
            (self.outbox.has_given(message), self.outbox.is_at(message, None))
        } else {
            let is_new = new_from.get(&channel).is_none_or(|new_from| sequence >= *new_from);
            (is_new, self.message(channel, sequence).is_some())
        };
        if !is_new && !is_there {
            self.append_copy(&Record::Settle { channel, sequence })?;
        }
        Ok(())
    }

    /// Nothing of a deleted channel comes after its deletion; so it outlives all of that in its own log, as a settle does.
    fn keep_closed(&mut self, channel: u32, record: &Record<'_>) -> Result<(), Stopped> {
        if self.here.has(channel) && self.log.has_older() {
            self.append_copy(record)?;
        }
        Ok(())
    }

    /// Copies what was last written of a message. What time has done to it since was not written down, and a start does it again.
    fn keep_state(
        &mut self,
        number: u32,
        sequence: Sequence,
        position: Position,
        record: &Record<'_>,
    ) -> Result<(), Stopped> {
        let Some(message) =
            self.message(number, sequence).filter(|message| message.state_at == Some(position))
        else {
            return Ok(());
        };
        // A release of 0.1.0 says less than what came before it.
        let whole = matches!(record, Record::Release { .. }).then(|| message.into_owned());
        let to = match &whole {
            Some(message) => self.append_copy(&records::state(number, sequence, message))?,
            None => self.append_copy(record)?,
        };
        self.recorded(number, sequence, to);
        Ok(())
    }

    /// Writes an idempotency key down again while its window is open, without its message.
    fn keep_key(&mut self, position: Position, record: &Record<'_>) -> Result<(), Stopped> {
        if let Some((idempotency, message_id)) = record.key().filter(|_| self.is_key_at(position, record)) {
            if record.key_channel().is_some_and(|channel| self.closed.contains(&channel)) {
                self.idempotency.forget(idempotency.hash, position);
                return Ok(());
            }
            let key = match record.key_channel() {
                Some(channel) => Record::ChannelKey { channel, idempotency, message_id },
                None => Record::Key { idempotency, message_id },
            };
            let to = self.append_copy(&key)?;
            self.idempotency.relocate(idempotency.hash, position, KeyRecord { position: to, alone: true });
            if !matches!(record, Record::Push { .. } | Record::Message { .. }) {
                self.log.release(position);
            }
        }
        Ok(())
    }

    /// Whether a record's key is remembered by this very record.
    fn is_key_at(&self, position: Position, record: &Record<'_>) -> bool {
        let now = self.clock.now();
        record.key().is_some_and(|(key, _)| self.idempotency.is_at(key.hash, position, now))
    }

    pub(super) fn append_copy(&mut self, record: &Record<'_>) -> Result<Position, Stopped> {
        let appended = self.append_copied(record);
        if appended == Err(AppendError::Full) {
            return Err(Stopped::NoRoom);
        }
        let position = self.has_room_held(appended)?;
        self.reclaim.pacer.copied(record.encoded_len() as u64, self.clock.now());
        // Nobody waits for a copy: it is synced before the original goes.
        let _ = self.appended(Sync::Later);
        Ok(position)
    }

    /// A group is written, with copies in it or without.
    pub(super) fn pace(&mut self, bytes: usize) {
        self.reclaim.pacer.wrote(bytes as u64, self.clock.now());
    }

    pub(super) fn message(&self, number: u32, sequence: Sequence) -> Option<Cow<'_, Message>> {
        self.channels.get(&number)?.state.message(sequence)
    }
}
