//! Answers with many messages, printed in pieces as the peer reads them.

use std::collections::VecDeque;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::task::yield_now;

use super::{
    leased_body::{LeasedBody, ReleaseGuard},
    printing::{Printed, Printing},
    refusal,
};
use crate::{
    core::{Router, StoreFailed},
    http::{HttpError, undelivered},
    shared::{Allocation, Share},
};

/// The minimum size of a piece, except the last: large enough that the cost per piece does not matter.
const PIECE_BYTES: usize = 64 * 1024;

/// Prints messages into pieces.
pub(super) struct Printer {
    cores: Router,
    answers: Share,
    out: Vec<u8>,
    /// The message that is being printed.
    current: Option<(Printing, ReleaseGuard)>,
    /// The messages whose last byte is in `out`.
    whole: ReleaseGuard,
}

/// A part of an answer, with the messages that are complete once it is sent.
pub(super) struct Piece {
    bytes: Bytes,
    leased: ReleaseGuard,
}

/// The source of the messages of an answer.
pub(super) trait Messages: Send + 'static {
    /// Starts the next message, or prints the text between or after messages. Returns false at the end.
    fn start_next(&mut self, printer: &mut Printer) -> impl Future<Output = Result<bool, Stopped>> + Send;
}

/// Why an answer ends early. If the answer has begun, the connection breaks off, so the client sees that it is
/// incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// The memory limit of answers is reached.
    #[error("the memory limit of answers is reached before the answer is complete (--answer-memory)")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreFailed),
    /// The broker is shutting down.
    #[error("the broker is shutting down")]
    Gone,
}

impl From<Stopped> for HttpError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Busy => refusal::busy(),
            Stopped::Store(_) => refusal::store_failed(),
            Stopped::Gone => refusal::draining(),
        }
    }
}

impl Printer {
    /// A printer for one answer, whose pieces count towards this caller's memory.
    pub(super) fn new(cores: &Router, answers: &Share) -> Self {
        let whole = ReleaseGuard::new(cores);
        Self { cores: cores.clone(), answers: answers.clone(), out: Vec::new(), current: None, whole }
    }

    /// Appends bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Starts printing a message.
    pub(super) fn start(&mut self, printing: Printing, leased: ReleaseGuard) {
        self.current = Some((printing, leased));
    }

    /// Takes the printed bytes as a piece, if there are any.
    pub(super) fn take(&mut self) -> Option<Piece> {
        if self.out.is_empty() {
            return None;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        let mut leased = std::mem::replace(&mut self.whole, ReleaseGuard::new(&self.cores));
        // The messages' memory is counted already; the text of one piece comes on top.
        leased.add(None, self.answers.take_anyway(bytes.len() as u64));
        Some(Piece { bytes, leased })
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
                    whole.into_iter().for_each(|(_, leased)| self.whole.append(leased));
                }
            }
        }
    }
}

/// The body of an answer: all at once if it is one piece, else piece by piece.
pub(super) async fn body(mut printer: Printer, mut messages: impl Messages) -> Result<Body, Stopped> {
    let first = next(&mut printer, &mut messages).await?;
    let second = next(&mut printer, &mut messages).await?;
    let (first, second) = match (first, second) {
        (Some(Piece { bytes, leased }), None) => return Ok(Body::new(LeasedBody::new(leased, bytes))),
        both => both,
    };
    let begun: VecDeque<_> = first.into_iter().chain(second).collect();
    let pieces =
        stream::try_unfold((begun, printer, messages), async |(mut begun, mut printer, mut messages)| {
            let piece = match begun.pop_front() {
                Some(piece) => Some(piece),
                None => next(&mut printer, &mut messages).await?,
            };
            Ok::<_, Stopped>(piece.map(|piece| (sent(piece), (begun, printer, messages))))
        });
    Ok(Body::from_stream(pieces))
}

/// Prints the next piece.
pub(super) async fn next(
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
pub(super) fn sent(Piece { bytes, leased }: Piece) -> Bytes {
    undelivered::hold(Box::new(leased));
    bytes
}

/// The memory of a message in a peek, which has no lease to release.
pub(super) fn peeked(cores: &Router, memory: Allocation) -> ReleaseGuard {
    let mut leased = ReleaseGuard::new(cores);
    leased.add(None, memory);
    leased
}
