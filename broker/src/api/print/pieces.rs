//! Answers with many messages, printed in pieces as the peer reads them.

use std::collections::VecDeque;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::task::yield_now;

use super::{
    message::{Printed, Printing},
    sending::SendingBody,
};
use crate::{
    api::refusal,
    http::{HttpError, undelivered},
    service::{Sending, peek::PeekRefusal},
    shared::Share,
};

/// The minimum size of a piece, except the last: large enough that the cost per piece does not matter.
const PIECE_BYTES: usize = 64 * 1024;

/// Prints messages into pieces.
pub(in crate::api) struct Printer {
    answers: Share,
    out: Vec<u8>,
    /// The message that is being printed.
    current: Option<(Printing, Sending)>,
    /// The messages whose last byte is in `out`.
    whole: Sending,
}

/// A part of an answer, with the messages that are complete once it is sent.
pub(in crate::api) struct Piece {
    bytes: Bytes,
    sending: Sending,
}

/// The source of the messages of an answer.
pub(in crate::api) trait Messages: Send + 'static {
    /// Starts the next message, or prints the text between or after messages. Returns false at the end.
    fn start_next(&mut self, printer: &mut Printer) -> impl Future<Output = Result<bool, Stopped>> + Send;
}

/// Why an answer ends early. If the answer has begun, the connection breaks off, so the client sees that it is
/// incomplete.
pub(in crate::api) type Stopped = PeekRefusal;

impl From<PeekRefusal> for HttpError {
    fn from(stopped: PeekRefusal) -> Self {
        match stopped {
            PeekRefusal::Busy => refusal::busy(),
            PeekRefusal::Store(_) => refusal::store_failed(),
            PeekRefusal::Gone(_) => refusal::draining(),
        }
    }
}

impl Printer {
    /// A printer for one answer, whose pieces count towards this caller's memory.
    pub(in crate::api) fn new(answers: &Share) -> Self {
        Self { answers: answers.clone(), out: Vec::new(), current: None, whole: Sending::default() }
    }

    /// Appends bytes.
    pub(in crate::api) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Starts printing a message.
    pub(in crate::api) fn start(&mut self, printing: Printing, sending: Sending) {
        self.current = Some((printing, sending));
    }

    /// Takes the printed bytes as a piece, if there are any.
    pub(in crate::api) fn take(&mut self) -> Option<Piece> {
        if self.out.is_empty() {
            return None;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        let mut sending = std::mem::take(&mut self.whole);
        // The messages' memory is counted already; the text of one piece comes on top.
        sending.add_memory(self.answers.take_anyway(bytes.len() as u64));
        Some(Piece { bytes, sending })
    }

    /// Continues the started message until the message or the piece is complete.
    async fn print_rest(&mut self) {
        while self.out.len() < PIECE_BYTES
            && let Some((printing, _)) = &mut self.current
        {
            match printing.print(&mut self.out) {
                Printed::Some => {}
                Printed::Nothing => yield_now().await,
                Printed::All => {
                    let whole = self.current.take();
                    whole.into_iter().for_each(|(_, sending)| self.whole.append(sending));
                }
            }
        }
    }
}

/// The body of an answer: all at once if it is one piece, else piece by piece.
pub(in crate::api) async fn body_of(
    mut printer: Printer,
    mut messages: impl Messages,
) -> Result<Body, Stopped> {
    let first = next_piece(&mut printer, &mut messages).await?;
    let second = next_piece(&mut printer, &mut messages).await?;
    let (first, second) = match (first, second) {
        (Some(Piece { bytes, sending }), None) => return Ok(Body::new(SendingBody::new(sending, bytes))),
        both => both,
    };
    let begun: VecDeque<_> = first.into_iter().chain(second).collect();
    let pieces =
        stream::try_unfold((begun, printer, messages), async |(mut begun, mut printer, mut messages)| {
            let piece = match begun.pop_front() {
                Some(piece) => Some(piece),
                None => next_piece(&mut printer, &mut messages).await?,
            };
            Ok::<_, Stopped>(piece.map(|piece| (sent(piece), (begun, printer, messages))))
        });
    Ok(Body::from_stream(pieces))
}

/// Prints the next piece.
pub(in crate::api) async fn next_piece(
    printer: &mut Printer,
    messages: &mut impl Messages,
) -> Result<Option<Piece>, Stopped> {
    loop {
        printer.print_rest().await;
        if printer.out.len() >= PIECE_BYTES || !messages.start_next(printer).await? {
            return Ok(printer.take());
        }
    }
}

/// The bytes of a piece, for a frame of the body. Its messages are handed to the connection with that frame.
pub(in crate::api) fn sent(Piece { bytes, sending }: Piece) -> Bytes {
    undelivered::hold(Box::new(sending));
    bytes
}
