//! What is read from the log: at once, or when it comes.

use bytes::Bytes;
use tokio::sync::oneshot::error::RecvError;
use uuid::Uuid;

use super::{Content, Core, Recorded, StoreFailed, Unread};
use crate::{
    channel::{Claim, Sequence},
    log::{Coming, Log, LogError, Position, Record},
};

/// What a message's record tells: here, or on its way.
#[derive(Debug)]
pub enum Reading {
    /// It was in memory.
    Here(Recorded),
    /// It comes from the log; [`super::Reach::content`] waits for it.
    Coming(Coming),
    /// It cannot be read: the message was set aside, unless a receiver has it.
    Unreadable(Unread),
}

/// How a read ended: not at all, if the log is gone.
pub(super) type Came = Result<Result<Bytes, LogError>, RecvError>;

impl<L: Log> Core<L> {
    /// A content, from memory or from the log. `handed`: the lease under which the message is on its way to a receiver.
    pub(super) fn content(
        &mut self,
        number: u32,
        sequence: Sequence,
        handed: Option<Claim>,
        position: Position,
    ) -> Result<Reading, StoreFailed> {
        if let Some(recorded) = self.contents.get(number, sequence) {
            return Ok(Reading::Here(recorded));
        }
        self.read_content(number, sequence, handed, position)
    }

    /// The content of a message, if it is there.
    pub(super) fn content_of(
        &mut self,
        number: u32,
        sequence: Sequence,
    ) -> Result<Option<Reading>, StoreFailed> {
        let position = self.message(number, sequence).map(|message| message.stored.position);
        position.map(|position| self.content(number, sequence, None, position)).transpose()
    }

    /// The same, unless the caller brought the content that was said to be coming: that of the first message of its turn.
    pub(super) fn brought_or_content_of(
        &mut self,
        brought: &mut Option<Recorded>,
        first: Sequence,
        number: u32,
        sequence: Sequence,
    ) -> Result<Option<Reading>, StoreFailed> {
        match brought.take().filter(|_| sequence == first) {
            Some(recorded) => Ok(Some(Reading::Here(recorded))),
            None => self.content_of(number, sequence),
        }
    }
}

impl Recorded {
    /// What a message's record tells.
    pub(super) fn of(bytes: &Bytes) -> Self {
        match Record::decode(bytes) {
            Ok(
                Record::Push { message_id, headers, body, .. }
                | Record::Message { message_id, headers, body, .. },
            ) => Self {
                id: Uuid::from_u128(message_id),
                content: Content { headers: bytes.slice_ref(headers), body: bytes.slice_ref(body) },
            },
            _ => unreachable!("a message's position is that of its own record, which the log has checked"),
        }
    }
}
