//! Reads from the log: at once, or asynchronously.

use bytes::Bytes;
use tokio::sync::oneshot::error::RecvError;
use uuid::Uuid;

use crate::{
    channel::{Claim, Sequence},
    log::{ChannelId, Coming, Log, LogError, Position, Read, Record},
    shard::{Content, Shard, StoreFailed, StoredMessage, UnreadableMessage},
};

/// The record of a message, or a read of it.
#[derive(Debug)]
pub enum Reading {
    Here(StoredMessage),
    /// It is being read; [`crate::worker::Router::content`] waits for it.
    Coming(Coming),
    /// It is unreadable: the message became a dead letter, unless a receiver holds it.
    Unreadable(UnreadableMessage),
}

/// The outcome of a read; an error if the log is gone.
pub(in crate::shard) type ReadResult = Result<Result<Bytes, LogError>, RecvError>;

impl<L: Log> Shard<L> {
    /// A message's body, from memory or from the log. `handed` is the lease under which it is being delivered.
    pub(in crate::shard) fn content(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        handed: Option<Claim>,
        position: Position,
    ) -> Result<Reading, StoreFailed> {
        if let Some(recorded) = self.contents.get(channel_id, sequence) {
            return Ok(Reading::Here(recorded));
        }
        self.read_content(channel_id, sequence, handed, position)
    }

    /// [`Self::content_of`], where the caller handles an error of the read.
    pub(in crate::shard) fn try_content_of(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
    ) -> Option<Result<Reading, LogError>> {
        let position = self.message(channel_id, sequence)?.stored.position;
        if let Some(recorded) = self.contents.get(channel_id, sequence) {
            return Some(Ok(Reading::Here(recorded)));
        }
        Some(self.ledger.log.read(position).map(|read| match read {
            Read::Here(bytes) => Reading::Here(StoredMessage::of(&bytes)),
            Read::Coming(coming) => Reading::Coming(coming),
        }))
    }

    /// The body of a message, if the message exists.
    pub(in crate::shard) fn content_of(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
    ) -> Result<Option<Reading>, StoreFailed> {
        let position = self.message(channel_id, sequence).map(|message| message.stored.position);
        position.map(|position| self.content(channel_id, sequence, None, position)).transpose()
    }

    /// [`Self::content_of`], unless the caller brought the body that the turn before asked it to read: the body of the
    /// first message of this turn.
    pub(in crate::shard) fn brought_or_content_of(
        &mut self,
        brought: &mut Option<StoredMessage>,
        first: Sequence,
        channel_id: ChannelId,
        sequence: Sequence,
    ) -> Result<Option<Reading>, StoreFailed> {
        match brought.take().filter(|_| sequence == first) {
            Some(recorded) => Ok(Some(Reading::Here(recorded))),
            None => self.content_of(channel_id, sequence),
        }
    }
}

impl StoredMessage {
    /// Decodes the record of a message.
    pub(in crate::shard) fn of(bytes: &Bytes) -> Self {
        match Record::decode(bytes) {
            Ok(Record::Message { message_id, headers, body, .. }) => Self {
                id: Uuid::from_u128(message_id),
                content: Content { headers: bytes.slice_ref(headers), body: bytes.slice_ref(body) },
            },
            _ => unreachable!("the position of a message is its record's, which the log has checked"),
        }
    }
}
