//! Messages whose records cannot be read: one piece of a disk that fails, or a bit that is another than was written. Each is set
//! aside by itself, as a dead letter of its own channel that an operator sees, redrives once the disk is well, or purges.
//! All others go on.
//!
//! A disk that fails altogether is another matter: then nothing is set aside for what is not the messages' fault.

use std::{collections::HashSet, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use restante_wire::DeadLetterCause;
use uuid::Uuid;

use super::{Core, Reading, Recorded, StoreFailed, read::Came};
use crate::{
    channel::{Claim, Phase, Sequence},
    clock::Millis,
    log::{Log, LogError, Position, Read, Record, Target},
};

/// So many messages for which the disk has an error, one soon after the other, are a disk that has failed.
const TOO_MANY: u32 = 32;
/// Soon: a bad piece of a disk is met message by message, and receivers that wait take a few of them at a time.
const SOON: Millis = 10_000;

/// What was met of late.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Since when it is counted.
    since: Millis,
    count: u32,
    /// Dead letters of another cause that were told. All others are told by what they become.
    told: HashSet<(u32, Sequence)>,
    /// Records of keys that were told.
    told_keys: HashSet<Position>,
}

/// What a log has of a message.
#[derive(Debug)]
pub enum ReadBack {
    /// All of it.
    Whole(Recorded),
    /// It cannot be read, and was set aside, unless a receiver has it.
    Unreadable(Unread),
}

/// A message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Its id, if that is known.
    pub id: Option<Uuid>,
    /// Where it lies, and why it cannot be read.
    pub why: String,
}

impl ReadBack {
    /// The message, if it can be read.
    pub fn whole(self) -> Option<Recorded> {
        match self {
            Self::Whole(recorded) => Some(recorded),
            Self::Unreadable(_) => None,
        }
    }
}

impl<L: Log> Core<L> {
    /// How the read of a message's content ended. One that cannot be read was set aside, unless a receiver has it: but not the one
    /// that `handed` is for, to whom it is on its way.
    pub(super) fn came_of(
        &mut self,
        number: u32,
        sequence: Sequence,
        handed: Option<Claim>,
        came: Came,
    ) -> Result<ReadBack, StoreFailed> {
        match came.unwrap_or(Err(LogError::Poisoned)) {
            Ok(bytes) => Ok(ReadBack::Whole(Recorded::of(&bytes))),
            Err(error) => Ok(ReadBack::Unreadable(self.unread(number, sequence, handed, error)?)),
        }
    }

    /// The content of a message, from the log.
    pub(super) fn read_content(
        &mut self,
        number: u32,
        sequence: Sequence,
        handed: Option<Claim>,
        position: Position,
    ) -> Result<Reading, StoreFailed> {
        match self.log.read(position) {
            Ok(Read::Here(bytes)) => Ok(Reading::Here(Recorded::of(&bytes))),
            Ok(Read::Coming(coming)) => Ok(Reading::Coming(coming)),
            Err(error) => Ok(Reading::Unreadable(self.unread(number, sequence, handed, error)?)),
        }
    }

    /// How the read of a record ended that tells of a key: its head if the rest cannot be read, and nothing if that is not known
    /// either. The message itself is left to whoever asks for it.
    pub(super) fn came_of_key(
        &mut self,
        position: Position,
        came: Result<Bytes, LogError>,
    ) -> Result<Option<Bytes>, StoreFailed> {
        let error = match came {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) => self.of_one_record(error)?,
        };
        let head = error.head_bytes();
        if head.is_none() && self.unreadable.told_keys.insert(position) {
            tracing::warn!(%error, "the record of an idempotency key cannot be read: pushes with this key are refused until it is forgotten");
        }
        Ok(head)
    }

    /// A message for channels of other cores cannot be read: it stays in the outbox, and the next start tries again.
    pub(super) fn outgoing_unread(
        &mut self,
        (outbox, sequence): (u32, Sequence),
        error: LogError,
    ) -> StoreFailed {
        if let Ok(error) = self.of_one_record(error) {
            let id = id_of(&error);
            tracing::warn!(outbox, sequence, id = id.map(tracing::field::display), %error, "a message for channels of other cores cannot be read, and waits");
            self.metrics.unreadable.inc();
        }
        StoreFailed
    }

    /// An error of one record, and not of all of the log.
    fn of_one_record(&mut self, error: LogError) -> Result<LogError, StoreFailed> {
        if error.is_of_one_record() && !self.failed {
            return Ok(error);
        }
        self.survive(Err(error))
    }

    /// A message cannot be read: it is told and set aside, unless it was before.
    fn unread(
        &mut self,
        number: u32,
        sequence: Sequence,
        handed: Option<Claim>,
        error: LogError,
    ) -> Result<Unread, StoreFailed> {
        let error = self.of_one_record(error)?;
        let unread = Unread { id: id_of(&error), why: error.to_string() };
        let message = self.message(number, sequence);
        let phase = message.map(|message| message.phase.clone());
        let is_news = match &phase {
            // It has gone meanwhile.
            None => false,
            // Its receiver has it, and needs no content to say what becomes of it. If it comes back, the next hand-out tells.
            Some(Phase::Leased(_)) if !handed.is_some_and(|claim| self.holds(number, claim)) => false,
            Some(Phase::Dead(death)) if death.cause == DeadLetterCause::Unreadable => false,
            Some(Phase::Dead(_)) => self.unreadable.told.insert((number, sequence)),
            Some(_) => true,
        };
        if !is_news {
            return Ok(unread);
        }
        // A disk that gives other bytes than were written gives them: however many there are, the others are read.
        if error.is_of_the_disk() && !self.is_one_piece() {
            return self.survive(Err(error));
        }
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(unread) };
        let name = channel.entry.config.qualified_name();
        self.metrics.unreadable.inc();
        let id = unread.id.map(tracing::field::display);
        tracing::warn!(channel = name, sequence, id, %error, "a message cannot be read: it is set aside as a dead letter of its channel");
        // One that is a dead letter has its cause already, and stays where it is.
        if !matches!(phase, Some(Phase::Dead(_))) {
            channel.state.mark_unreadable(sequence, &unread.why, self.clock.now());
            channel.counters.dead_lettered.fetch_add(1, Relaxed);
            self.metrics.dead_lettered.inc();
            self.stays(number, sequence)?;
            let _ = self.appended(crate::log::Sync::Later);
            self.touch(number);
        }
        Ok(unread)
    }

    /// Names a message of which only the head can be read, if it is still in a channel or on its way to one.
    pub(super) fn needed(&self, position: Position, head: &Record<'_>) -> Option<String> {
        let Record::Message { targets, message_id, .. } = head else { return None };
        let lives = |target: &Target| {
            let message = self.message(target.channel, target.sequence);
            message.is_some_and(|message| message.stored.position == position)
                || self.goes_out(target, position)
        };
        let target = targets.iter().find(lives)?;
        let channel = self.channels.get(&target.channel);
        let of = channel
            .map_or_else(String::new, |channel| format!(" of {}", channel.entry.config.qualified_name()));
        Some(format!("message {}{of}", Uuid::from_u128(*message_id)))
    }

    /// Whether what the disk cannot read may be a piece of it, and not all.
    fn is_one_piece(&mut self) -> bool {
        let (now, met) = (self.clock.now(), &mut self.unreadable);
        if now.saturating_sub(met.since) > SOON {
            (met.since, met.count) = (now, 0);
        }
        met.count += 1;
        met.count < TOO_MANY
    }
}

/// A message's id, if it is known.
fn id_of(error: &LogError) -> Option<Uuid> {
    match error.head()?.record {
        Record::Push { message_id, .. } | Record::Message { message_id, .. } => {
            Some(Uuid::from_u128(message_id))
        }
        _ => None,
    }
}
