//! Peeking at the messages of channels, without leasing them.

use std::{sync::Arc, time::Duration};

use tokio::{task::yield_now, time::timeout};

use super::Service;
use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    message::{Origin, StoredMessage},
    shard::{PeekOutcome, PeekedMessage, ReadBack, ShardGone, StoreFailed, UnreadableMessage},
    shared::Share,
};

/// How long a peek that has shown a message waits for memory: other answers are sent or aborted within less.
const MEMORY_WITHIN: Duration = Duration::from_secs(60);
/// The maximum number of messages that one peek examines. Messages that it does not show count as well: the broker
/// must read a message to know whether to show it.
const EXAMINED_MAX: usize = 10_000;
/// The number of messages that a peek examines before it yields to other requests.
const TURN: usize = 100;

/// The messages of one channel in one state, in the order of their sequences.
#[derive(Debug, Clone)]
pub struct Span {
    /// The channel in which the messages are stored.
    pub entry: Arc<ChannelEntry>,
    pub state: State,
    /// Which of the messages the peek shows.
    pub filter: Filter,
}

/// A filter for the messages of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    All,
    /// All messages, as dead letters of this channel, `namespace/name`.
    AllAs(String),
    /// Dead letters of any other channel.
    DeadLetters,
    /// Dead letters of this other channel, `namespace/name`.
    DeadLettersOf(String),
}

/// Where a peek is: a span, and a sequence in it.
pub type PeekPosition = (usize, Sequence);

/// A walk over some spans, one after the other.
pub struct Peek {
    service: Arc<Service>,
    answers: Share,
    spans: Vec<Span>,
    at: PeekPosition,
    /// The number of messages that it may still show.
    left: usize,
    /// Their bytes.
    bytes: u64,
    examined: usize,
    has_begun: bool,
}

/// A message of a peek.
pub struct Seen {
    pub message: Box<PeekedMessage>,
    /// Its content, unless that is unreadable.
    pub recorded: Result<StoredMessage, UnreadableMessage>,
    /// The channel in which it is stored.
    pub stored_in: Arc<ChannelEntry>,
    /// The channel whose dead letter it is shown as, if the span's filter names one.
    pub dead_letter_of: Option<String>,
}

/// The next step of a peek.
pub enum Next {
    Message(Seen),
    /// The peek ends here, and there may be more messages for another one.
    More(PeekPosition),
    End,
}

/// Why a peek ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeekRefusal {
    /// The memory limit of answers is reached.
    #[error("the memory limit of answers is reached before the answer is complete (--answer-memory)")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreFailed),
    #[error(transparent)]
    Gone(#[from] ShardGone),
}

impl Peek {
    /// A walk from a position on, over at most `max` messages and `bytes`.
    pub fn new(
        service: &Arc<Service>,
        answers: &Share,
        spans: Vec<Span>,
        from: PeekPosition,
        max: usize,
        bytes: u64,
    ) -> Self {
        Self {
            service: service.clone(),
            answers: answers.clone(),
            spans,
            at: from,
            left: max,
            bytes,
            examined: 0,
            has_begun: false,
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Result<Next, PeekRefusal> {
        loop {
            let Some(span) = self.spans.get(self.at.0).cloned() else { return Ok(Next::End) };
            if self.left == 0 || self.examined >= EXAMINED_MAX {
                return Ok(Next::More(self.at));
            }
            let mut message = match self.find_next(&span).await? {
                PeekOutcome::Message(message) => message,
                PeekOutcome::End => {
                    self.at = (self.at.0 + 1, 0);
                    continue;
                }
                PeekOutcome::TooLarge(sequence) => return Ok(Next::More((self.at.0, sequence))),
                PeekOutcome::NoMemory => return Err(PeekRefusal::Busy),
            };
            let sequence = message.sequence;
            let read =
                self.service.router.content(span.entry.id, sequence, None, &mut message.content).await?;
            debug_assert!(sequence >= self.at.1, "looks go on");
            self.at.1 = sequence + 1;
            self.examined += 1;
            if self.examined.is_multiple_of(TURN) {
                yield_now().await;
            }
            let recorded = match read {
                ReadBack::Whole(recorded) => Ok(recorded),
                // A leased or dead message keeps its state and is shown without content. Any other has become a dead
                // letter by now.
                ReadBack::Unreadable(unread) if matches!(span.state, State::Dead | State::Leased) => {
                    Err(unread)
                }
                ReadBack::Unreadable(_) => continue,
            };
            let Some(dead_letter_of) = span.filter.shows(recorded.as_ref().ok()) else { continue };
            self.left -= 1;
            self.has_begun = true;
            self.bytes = self.bytes.saturating_sub(message.message.stored.bytes.into());
            return Ok(Next::Message(Seen { message, recorded, stored_in: span.entry, dead_letter_of }));
        }
    }

    /// Finds the next message of a span. Once a message was shown, waits until there is memory for the next.
    async fn find_next(&self, span: &Span) -> Result<PeekOutcome, PeekRefusal> {
        // The first message is shown even if it exceeds the size limit.
        let bytes = if self.has_begun { self.bytes } else { u64::MAX };
        let (state, first) = (span.state, self.at.1);
        let request = (span.entry.clone(), self.answers.clone());
        loop {
            let freed = self.answers.budget().freed();
            let outcome = self.service.router.ask(span.entry.id, &request, move |shard, (entry, answers)| {
                shard.peek(entry, state, first, bytes, answers)
            });
            match outcome.await?? {
                PeekOutcome::NoMemory if self.has_begun => {
                    timeout(MEMORY_WITHIN, freed).await.map_err(|_| PeekRefusal::Busy)?
                }
                outcome => return Ok(outcome),
            }
        }
    }
}

impl Filter {
    /// Whether the filter shows a message, and as whose dead letter.
    fn shows(&self, recorded: Option<&StoredMessage>) -> Option<Option<String>> {
        let origin = || {
            recorded.and_then(|recorded| Origin::of(&recorded.content.headers)).map(|origin| origin.channel)
        };
        match self {
            Self::All => Some(None),
            Self::AllAs(channel) => Some(Some(channel.clone())),
            Self::DeadLetters => origin().map(Some),
            Self::DeadLettersOf(channel) => origin().filter(|origin| origin == channel).map(Some),
        }
    }
}
