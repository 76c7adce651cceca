//! Unreadable messages: a bad sector of a disk, or a flipped bit. Each becomes a dead letter of its own channel, which
//! an administrator can see, redrive once the disk is repaired, or purge. All other messages are served as before.
//!
//! If the whole disk fails, no message becomes a dead letter for it.

use std::{collections::HashSet, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use restante_wire::DeadLetterCause;
use uuid::Uuid;

use crate::{
    channel::{Claim, Phase, Sequence},
    clock::Millis,
    log::{ChannelId, Log, LogError, ParcelId, ParcelNumber, Position, Read, Record, Target},
    shard::{Reading, Shard, StoreFailed, StoredMessage, ledger::read::ReadResult},
};

/// Disk errors in quick succession that count as a failed disk.
const ERRORS_MAX: u32 = 32;
/// Quick succession: a bad sector shows message by message, and waiting receivers pull a few of them at a time.
const ERRORS_WITHIN: Millis = 10_000;

/// Recent read errors, and the ones already reported.
#[derive(Debug, Default)]
pub(in crate::shard) struct ReadErrors {
    /// When the count began.
    since: Millis,
    count: u32,
    /// Reported dead letters of another cause. All other messages are reported when they become dead letters.
    reported: HashSet<(ChannelId, Sequence)>,
    /// Reported records of keys.
    reported_keys: HashSet<Position>,
}

/// A message as read from the log.
#[derive(Debug)]
pub enum ReadBack {
    Whole(StoredMessage),
    /// It is unreadable, and became a dead letter, unless a receiver holds it.
    Unreadable(UnreadableMessage),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableMessage {
    /// Its id, if known.
    pub id: Option<Uuid>,
    /// The position, and the reason.
    pub why: String,
}

impl ReadBack {
    /// The message, if it is readable.
    pub fn readable(self) -> Option<StoredMessage> {
        match self {
            Self::Whole(recorded) => Some(recorded),
            Self::Unreadable(_) => None,
        }
    }
}

impl<L: Log> Shard<L> {
    /// Finishes the read of a message's body. An unreadable message becomes a dead letter, unless a receiver other than
    /// `handed` holds it; `handed` is the lease under which it is being delivered.
    pub(crate) fn finish_read(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        handed: Option<Claim>,
        came: ReadResult,
    ) -> Result<ReadBack, StoreFailed> {
        match came.unwrap_or(Err(LogError::Poisoned)) {
            Ok(bytes) => Ok(ReadBack::Whole(StoredMessage::of(&bytes))),
            Err(error) => {
                Ok(ReadBack::Unreadable(self.message_unreadable(channel_id, sequence, handed, error)?))
            }
        }
    }

    /// Reads the body of a message from the log.
    pub(in crate::shard) fn read_content(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        handed: Option<Claim>,
        position: Position,
    ) -> Result<Reading, StoreFailed> {
        match self.ledger.log.read(position) {
            Ok(Read::Here(bytes)) => Ok(Reading::Here(StoredMessage::of(&bytes))),
            Ok(Read::Coming(coming)) => Ok(Reading::Coming(coming)),
            Err(error) => {
                Ok(Reading::Unreadable(self.message_unreadable(channel_id, sequence, handed, error)?))
            }
        }
    }

    /// Finishes the read of a key's record: only its head if the rest is unreadable, and `None` if the head is as well.
    /// The message itself is handled when a receiver pulls it.
    pub(crate) fn finish_key_read(
        &mut self,
        position: Position,
        came: Result<Bytes, LogError>,
    ) -> Result<Option<Bytes>, StoreFailed> {
        let error = match came {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) => self.single_record_error(error)?,
        };
        let head = error.head_bytes();
        if head.is_none() && self.ledger.unreadable.reported_keys.insert(position) {
            tracing::warn!(%error, "the record of an idempotency key is unreadable; pushes with this key are refused until it expires");
        }
        Ok(head)
    }

    /// Reports an unreadable parcel: it stays, and the next start retries.
    pub(crate) fn parcel_unreadable(
        &mut self,
        ParcelId { shard, number: ParcelNumber { epoch, count } }: ParcelId,
        error: LogError,
    ) -> StoreFailed {
        if let Ok(error) = self.single_record_error(error) {
            let id = id_of(&error);
            tracing::warn!(shard, epoch, count, id = id.map(tracing::field::display), %error, "a message to be relayed to other shards is unreadable; the next start retries");
            self.metrics.unreadable.inc();
        }
        StoreFailed
    }

    /// An error of one record; fails the log if the error concerns more.
    fn single_record_error(&mut self, error: LogError) -> Result<LogError, StoreFailed> {
        if error.is_of_one_record() && !self.has_failed() {
            return Ok(error);
        }
        self.ledger.check(Err(error))
    }

    /// Reports an unreadable message and makes it a dead letter, unless that was done before.
    pub(in crate::shard) fn message_unreadable(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        handed: Option<Claim>,
        error: LogError,
    ) -> Result<UnreadableMessage, StoreFailed> {
        let error = self.single_record_error(error)?;
        let unread = UnreadableMessage { id: id_of(&error), why: error.to_string() };
        let message = self.message(channel_id, sequence);
        let phase = message.map(|message| message.phase.clone());
        let is_news = match &phase {
            // It has left meanwhile.
            None => false,
            // Its receiver holds it, and needs no body to settle it. If it returns, the next delivery reports it.
            Some(Phase::Leased(_)) if !handed.is_some_and(|claim| self.holds(channel_id, claim)) => false,
            Some(Phase::Dead(death)) if death.cause == DeadLetterCause::Unreadable => false,
            Some(Phase::Dead(_)) => self.ledger.unreadable.reported.insert((channel_id, sequence)),
            Some(_) => true,
        };
        if !is_news {
            return Ok(unread);
        }
        // A flipped bit concerns only its record: however many there are, the others are readable.
        if error.is_of_the_disk() && !self.is_local_damage() {
            return self.ledger.check(Err(error));
        }
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return Ok(unread) };
        let name = channel.live.entry.config.qualified_name();
        self.metrics.unreadable.inc();
        let id = unread.id.map(tracing::field::display);
        tracing::warn!(channel = name, sequence, id, %error, "a message is unreadable; it becomes a dead letter of its channel");
        // A dead letter keeps its cause and its place.
        if !matches!(phase, Some(Phase::Dead(_)))
            && let Some(dead) = channel.state.decide_unreadable(sequence, &unread.why, self.clock.now())
        {
            channel.live.counters.dead_lettered.fetch_add(1, Relaxed);
            self.metrics.dead_lettered.inc();
            self.keep_dead_letter(channel_id, sequence, &dead)?;
            let _ = self.ledger.appended(crate::log::Sync::Later);
            self.touch(channel_id);
        }
        Ok(unread)
    }

    /// Names a message of which only the head is readable, if it is still in a channel or in relay.
    pub(in crate::shard) fn needed(&self, position: Position, head: &Record<'_>) -> Option<String> {
        let Record::Message { targets, parcel, message_id, .. } = head else { return None };
        let in_relay = parcel.is_some_and(|parcel| self.is_parcel_at(parcel, position));
        let lives = |target: &Target| {
            let message = self.message(target.channel, target.sequence);
            message.is_some_and(|message| message.stored.position == position)
                || (in_relay && target.is_to_come())
        };
        let target = targets.iter().find(lives)?;
        let channel = self.facts.channels.get(&target.channel);
        let of = channel.map_or_else(String::new, |channel| {
            format!(" of {}", channel.live.entry.config.qualified_name())
        });
        Some(format!("message {}{of}", Uuid::from_u128(*message_id)))
    }

    /// Whether the disk errors are few enough for local damage.
    fn is_local_damage(&mut self) -> bool {
        let (now, errors) = (self.clock.now(), &mut self.ledger.unreadable);
        if now.saturating_sub(errors.since) > ERRORS_WITHIN {
            (errors.since, errors.count) = (now, 0);
        }
        errors.count += 1;
        errors.count < ERRORS_MAX
    }
}

/// A message's id, if known.
fn id_of(error: &LogError) -> Option<Uuid> {
    match error.head()?.record {
        Record::Message { message_id, .. } => Some(Uuid::from_u128(message_id)),
        _ => None,
    }
}
