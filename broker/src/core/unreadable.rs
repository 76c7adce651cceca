//! Messages whose records cannot be read: one piece of a disk that fails, or a bit that is another than was written. Each is set
//! aside by itself, as a dead letter of its own channel that an operator sees, redrives once the disk is well, or purges.
//! All others go on.
//!
//! A disk that fails altogether is another matter: then nothing is set aside for what is not the messages' fault.

use bytes::Bytes;

use super::{Core, Reading, Recorded, StoreFailed, read::Came};
use crate::{
    channel::{Phase, Sequence},
    clock::Millis,
    log::{Log, LogError, Position, Read},
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
}

/// How a read failed: this record, or all of the log.
#[derive(Debug)]
pub(super) enum Unread {
    /// Only this record: others may be read.
    Record(LogError),
    /// Nothing can be read any more.
    Store(StoreFailed),
}

impl From<StoreFailed> for Unread {
    fn from(failed: StoreFailed) -> Self {
        Self::Store(failed)
    }
}

impl<L: Log> Core<L> {
    /// A record's bytes, now or when they come.
    pub(super) fn read(&mut self, position: Position) -> Result<Read, Unread> {
        let read = self.log.read(position);
        read.map_err(|error| self.unread(error))
    }

    /// How a read ended.
    pub(super) fn came(&mut self, came: Came) -> Result<Bytes, Unread> {
        came.unwrap_or(Err(LogError::Poisoned)).map_err(|error| self.unread(error))
    }

    fn unread(&mut self, error: LogError) -> Unread {
        // A disk that gives other bytes than were written gives them: however many there are, the others are read.
        let is_given = !matches!(error, LogError::Io { .. });
        if error.is_of_one_record() && !self.failed && (is_given || self.is_one_piece()) {
            return Unread::Record(error);
        }
        match self.survive::<()>(Err(error)) {
            Err(failed) => Unread::Store(failed),
            Ok(()) => Unread::Store(StoreFailed),
        }
    }

    /// Whether what the disk cannot read may be a piece of it, and not all.
    fn is_one_piece(&mut self) -> bool {
        let (now, met) = (self.clock.now(), &mut self.unreadable);
        if now.saturating_sub(met.since) > SOON {
            *met = Unreadable { since: now, count: 0 };
        }
        met.count += 1;
        met.count < TOO_MANY
    }

    /// How the read of a message's content ended; nothing if the message was set aside for it.
    pub(super) fn came_of(
        &mut self,
        number: u32,
        sequence: Sequence,
        came: Came,
    ) -> Result<Option<Recorded>, StoreFailed> {
        match self.came(came) {
            Ok(bytes) => Ok(Some(Recorded::of(&bytes))),
            Err(Unread::Store(failed)) => Err(failed),
            Err(Unread::Record(error)) => {
                self.set_aside(number, sequence, &error)?;
                Ok(None)
            }
        }
    }

    /// The content of a message, from the log.
    pub(super) fn read_content(
        &mut self,
        number: u32,
        sequence: Sequence,
        position: Position,
    ) -> Result<Reading, StoreFailed> {
        match self.read(position) {
            Ok(Read::Here(bytes)) => Ok(Reading::Here(Recorded::of(&bytes))),
            Ok(Read::Coming(coming)) => Ok(Reading::Coming(coming)),
            Err(Unread::Store(failed)) => Err(failed),
            Err(Unread::Record(error)) => {
                self.set_aside(number, sequence, &error)?;
                Ok(Reading::Unreadable)
            }
        }
    }

    /// A message that cannot be read becomes a dead letter of its channel. Wherever else it would go, it would have to be read
    /// for that.
    fn set_aside(&mut self, number: u32, sequence: Sequence, error: &LogError) -> Result<(), StoreFailed> {
        let now = self.clock.now();
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let name = channel.entry.config.qualified_name();
        self.metrics.unreadable.inc();
        tracing::warn!(channel = name, sequence, %error, "a message cannot be read: it is set aside as a dead letter of its channel");
        let phase = channel.state.message(sequence).map(|message| message.phase.clone());
        match phase {
            // It has a cause already, and stays where it is.
            None | Some(Phase::Dead(_)) => Ok(()),
            Some(_) => {
                channel.state.set_aside(sequence, &error.to_string(), now);
                self.stays(number, sequence)?;
                let _ = self.appended(crate::log::Sync::Later);
                self.touch(number);
                Ok(())
            }
        }
    }
}
