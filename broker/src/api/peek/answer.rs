//! The answer to a peek: each message is read when the one before was sent.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use restante_wire::batch::{BATCH_BYTES_MAX, DeliveredHead};
use uuid::Uuid;

use crate::{
    api::print::{Messages, Printer, Printing, Stopped, body_of, item},
    channel::Sequence,
    clock::Clock,
    http::{Caller, HttpError},
    message::{Content, StoredMessage},
    service::{
        Sending, Service,
        peek::{Next, Peek, PeekPosition, Seen, Span},
    },
    shard::{PeekedMessage, UnreadableMessage},
};

/// The parameters of a peek.
pub(super) struct PeekRequest {
    /// Examined one after the other.
    pub(super) spans: Vec<Span>,
    /// Where to begin.
    pub(super) from: PeekPosition,
    /// The maximum number of messages in the answer.
    pub(super) max: usize,
    /// Makes the cursor for a span and a sequence.
    pub(super) cursor: fn(usize, Sequence) -> String,
}

/// The state of one answer.
struct Printed {
    peek: Peek,
    clock: Clock,
    cursor: fn(usize, Sequence) -> String,
    part: Part,
}

/// The part of the JSON object that is printed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Start,
    Between,
    End,
}

/// The answer to a peek.
pub(super) async fn to(
    service: &Arc<Service>,
    caller: &Caller,
    request: PeekRequest,
) -> Result<Response, HttpError> {
    let PeekRequest { spans, from, max, cursor } = request;
    let peek = Peek::new(service, caller.answers(), spans, from, max, BATCH_BYTES_MAX);
    let printed = Printed { peek, clock: service.clock.clone(), cursor, part: Part::Start };
    let body = body_of(Printer::new(caller.answers()), printed).await?;
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    Ok((headers, body).into_response())
}

impl Messages for Printed {
    async fn start_next(&mut self, printer: &mut Printer) -> Result<bool, Stopped> {
        if self.part == Part::End {
            return Ok(false);
        }
        let next = self.peek.next().await?;
        if self.part == Part::Start {
            printer.put(br#"{"messages":["#);
        } else if matches!(next, Next::Message(..)) {
            printer.put(b",");
        }
        self.part = Part::Between;
        match next {
            Next::Message(seen) => {
                let (head, body, message) = shown(seen, &self.clock);
                printer.start(Printing::json(&head, body), Sending::of_memory(message.memory));
                return Ok(true);
            }
            Next::More((span, sequence)) => {
                let next = (self.cursor)(span, sequence);
                printer.put(format!(r#"],"next":"{next}"}}"#).as_bytes());
            }
            Next::End => printer.put(b"]}"),
        }
        self.part = Part::End;
        Ok(true)
    }
}

/// The head and body of a message in the answer.
fn shown(seen: Seen, clock: &Clock) -> (DeliveredHead, Bytes, PeekedMessage) {
    let Seen { message, recorded, stored_in, dead_letter_of } = seen;
    let (recorded, unread) = match recorded {
        Ok(recorded) => (recorded, None),
        Err(unread) => (empty_record(), Some(unread)),
    };
    let mut head = item::seen(&message, &recorded, clock);
    if let (Some(channel), Some(note)) = (dead_letter_of, &mut head.dead_letter) {
        note.channel = Some(channel);
        note.held_in = Some(stored_in.config.qualified_name());
    }
    if let Some(UnreadableMessage { id, why }) = unread {
        head.id = id.map(|id| id.to_string()).unwrap_or_default();
        head.unreadable = Some(why);
    }
    (head, recorded.content.body, *message)
}

/// The empty record that stands in for an unreadable one.
fn empty_record() -> StoredMessage {
    StoredMessage { id: Uuid::nil(), content: Content { headers: Bytes::new(), body: Bytes::new() } }
}
