//! The answer to a peek: each message is read when the one before was sent.

use std::{sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use restante_wire::batch::{BATCH_BYTES_MAX, DeliveredHead};
use tokio::{task::yield_now, time::timeout};
use uuid::Uuid;

use super::{
    Context, item,
    pieces::{self, Messages, Printer, Stopped},
    printing::Printing,
};
use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    clock::Clock,
    core::{Content, PeekOutcome, PeekedMessage, ReadBack, StoredMessage, UnreadableMessage},
    http::{Caller, HttpError},
    message::Origin,
    shared::Share,
};

/// How long a peek whose answer has begun waits for memory: other answers are sent or aborted within less.
const MEMORY_WITHIN: Duration = Duration::from_secs(60);
/// The maximum number of messages that one answer examines. Messages that it does not show count as well: the broker
/// must read a message to know whether to show it.
const EXAMINED_MAX: usize = 10_000;
/// The number of messages that a peek examines before it yields to other requests.
const TURN: usize = 100;

/// The messages of one channel in one state, in the order of their sequences.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// The channel in which the messages are stored.
    pub(super) entry: Arc<ChannelEntry>,
    pub(super) state: State,
    /// Which of the messages the answer shows.
    pub(super) filter: Filter,
}

/// A filter for the messages of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    All,
    /// All messages, as dead letters of this channel, `namespace/name`.
    AllAs(String),
    /// Dead letters of any other channel.
    DeadLetters,
    /// Dead letters of this other channel, `namespace/name`.
    DeadLettersOf(String),
}

/// The parameters of a peek.
pub(super) struct PeekRequest {
    /// Examined one after the other.
    pub(super) spans: Vec<Span>,
    /// The span and the sequence to begin at.
    pub(super) from: (usize, Sequence),
    /// The maximum number of messages in the answer.
    pub(super) max: usize,
    /// Makes the cursor for a span and a sequence.
    pub(super) cursor: fn(usize, Sequence) -> String,
}

/// The state of one answer.
struct Peek {
    context: Arc<Context>,
    answers: Share,
    request: PeekRequest,
    bytes: u64,
    examined: usize,
    position: Position,
}

/// The part of the JSON object that is printed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Start,
    Between,
    End,
}

/// The next step of a peek.
enum Next {
    Message(Box<PeekedMessage>, StoredMessage, Box<DeliveredHead>),
    /// The answer ends, and there may be more messages for another request.
    More,
    End,
}

/// The empty record that stands in for an unreadable one.
fn empty_record() -> StoredMessage {
    StoredMessage { id: Uuid::nil(), content: Content { headers: Bytes::new(), body: Bytes::new() } }
}

/// The answer to a peek.
pub(super) async fn answer(
    context: &Arc<Context>,
    caller: &Caller,
    request: PeekRequest,
) -> Result<Response, HttpError> {
    let peek = Peek {
        context: context.clone(),
        answers: caller.answers().clone(),
        request,
        bytes: BATCH_BYTES_MAX,
        examined: 0,
        position: Position::Start,
    };
    let printer = Printer::new(&context.cores, caller.answers());
    let body = pieces::body(printer, peek).await?;
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    Ok((headers, body).into_response())
}

impl Peek {
    /// The next message that the answer shows.
    async fn next(&mut self) -> Result<Next, Stopped> {
        loop {
            let Some(span) = self.request.spans.get(self.request.from.0).cloned() else {
                return Ok(Next::End);
            };
            if self.request.max == 0 || self.examined >= EXAMINED_MAX {
                return Ok(Next::More);
            }
            let (mut seen, sequence) = match self.find_next(&span).await? {
                PeekOutcome::Message(seen) => (seen, self.request.from.1),
                PeekOutcome::End => {
                    self.request.from = (self.request.from.0 + 1, 0);
                    continue;
                }
                PeekOutcome::TooLarge(sequence) => {
                    self.request.from.1 = sequence;
                    return Ok(Next::More);
                }
                PeekOutcome::NoMemory => return Err(Stopped::Busy),
            };
            let read =
                self.context.cores.content(span.entry.id, seen.sequence, None, &mut seen.content).await?;
            debug_assert!(seen.sequence >= sequence, "looks go on");
            self.request.from.1 = seen.sequence + 1;
            self.examined += 1;
            if self.examined.is_multiple_of(TURN) {
                yield_now().await;
            }
            let (recorded, unread) = match read {
                ReadBack::Whole(recorded) => (recorded, None),
                // A leased or dead message keeps its state and is shown without content. Any other has become a dead
                // letter by now.
                ReadBack::Unreadable(unread) if matches!(span.state, State::Dead | State::Leased) => {
                    (empty_record(), Some(unread))
                }
                ReadBack::Unreadable(_) => continue,
            };
            if let Some(mut head) = span.head(&seen, &recorded, &self.context.clock) {
                if let Some(UnreadableMessage { id, why }) = unread {
                    head.id = id.map(|id| id.to_string()).unwrap_or_default();
                    head.unreadable = Some(why);
                }
                self.request.max -= 1;
                self.bytes = self.bytes.saturating_sub(seen.message.stored.bytes.into());
                return Ok(Next::Message(seen, recorded, Box::new(head)));
            }
        }
    }

    /// Finds the next message of a span. Once the answer has begun, waits until there is memory for it.
    async fn find_next(&self, span: &Span) -> Result<PeekOutcome, Stopped> {
        let has_begun = self.position != Position::Start;
        // The first message is shown even if it exceeds the size limit of a batch.
        let bytes = if has_begun { self.bytes } else { u64::MAX };
        let (state, first) = (span.state, self.request.from.1);
        let request = (span.entry.clone(), self.answers.clone());
        loop {
            let freed = self.answers.budget().freed();
            let outcome = self.context.cores.ask(span.entry.id, &request, move |core, (entry, answers)| {
                core.peek(entry, state, first, bytes, answers)
            });
            match outcome.await.map_err(|_| Stopped::Gone)?? {
                PeekOutcome::NoMemory if has_begun => {
                    timeout(MEMORY_WITHIN, freed).await.map_err(|_| Stopped::Busy)?
                }
                outcome => return Ok(outcome),
            }
        }
    }
}

impl Span {
    /// The head of a message, if the span's filter shows it.
    fn head(&self, seen: &PeekedMessage, recorded: &StoredMessage, clock: &Clock) -> Option<DeliveredHead> {
        let origin = || Origin::of(&recorded.content.headers).map(|origin| origin.channel);
        let given_up_by = match &self.filter {
            Filter::All => return Some(item::seen(seen, recorded, clock)),
            Filter::AllAs(channel) => channel.clone(),
            Filter::DeadLetters => origin()?,
            Filter::DeadLettersOf(channel) => origin().filter(|origin| origin == channel)?,
        };
        let mut head = item::seen(seen, recorded, clock);
        if let Some(note) = &mut head.dead_letter {
            note.channel = Some(given_up_by);
            note.held_in = Some(self.entry.config.qualified_name());
        }
        Some(head)
    }
}

impl Messages for Peek {
    async fn start_next(&mut self, printer: &mut Printer) -> Result<bool, Stopped> {
        if self.position == Position::End {
            return Ok(false);
        }
        let next = self.next().await?;
        if self.position == Position::Start {
            printer.put(br#"{"messages":["#);
        } else if matches!(next, Next::Message(..)) {
            printer.put(b",");
        }
        self.position = Position::Between;
        match next {
            Next::Message(seen, recorded, head) => {
                let leased = pieces::peeked(&self.context.cores, seen.memory);
                printer.start(Printing::json(&head, recorded.content.body), leased);
                return Ok(true);
            }
            Next::More => {
                let (span, sequence) = self.request.from;
                let next = (self.request.cursor)(span, sequence);
                printer.put(format!(r#"],"next":"{next}"}}"#).as_bytes());
            }
            Next::End => printer.put(b"]}"),
        }
        self.position = Position::End;
        Ok(true)
    }
}
