//! The pieces of an answer with many messages: printed one after another as the peer takes them.

use std::collections::VecDeque;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::task::yield_now;

use super::{
    leased_body::{Leased, LeasedBody},
    printing::{Printed, Printing},
    refusal,
};
use crate::{
    core::{Router, StoreFailed},
    http::{HttpError, undelivered},
    shared::{Share, Taken},
};

/// How large a piece is at least, but for the last: large enough that its way through the connection is little beside it.
const PIECE_BYTES: usize = 64 * 1024;

/// Prints messages into pieces.
pub(super) struct Printer {
    cores: Router,
    answers: Share,
    out: Vec<u8>,
    /// The message that is being printed, and itself.
    current: Option<(Printing, Leased)>,
    /// Those that the piece ends.
    whole: Leased,
}

/// A part of an answer, and the messages that are whole with it.
pub(super) struct Piece {
    bytes: Bytes,
    leased: Leased,
}

/// Where the messages of an answer come from.
pub(super) trait Messages: Send + 'static {
    /// Starts with the next message, or prints what comes between or after them. False at the end.
    fn start_next(&mut self, printer: &mut Printer) -> impl Future<Output = Result<bool, Stopped>> + Send;
}

/// Why an answer ends before it is whole. One that has begun breaks off, and its client sees that it is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// There is no memory for more.
    #[error("the memory limit of answers is reached before the answer is complete (--answer-memory)")]
    Busy,
    /// The store failed.
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
    /// For one answer, whose pieces count as this caller's.
    pub(super) fn new(cores: &Router, answers: &Share) -> Self {
        let whole = Leased::new(cores);
        Self { cores: cores.clone(), answers: answers.clone(), out: Vec::new(), current: None, whole }
    }

    /// Prints bytes as they are.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Starts with a message.
    pub(super) fn start(&mut self, printing: Printing, leased: Leased) {
        self.current = Some((printing, leased));
    }

    /// What has been printed, if there is something.
    pub(super) fn take(&mut self) -> Option<Piece> {
        if self.out.is_empty() {
            return None;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        let mut leased = std::mem::replace(&mut self.whole, Leased::new(&self.cores));
        // Its messages have taken their memory; the text is a piece at a time besides.
        leased.add(None, self.answers.take_anyway(bytes.len() as u64));
        Some(Piece { bytes, leased })
    }

    /// Goes on with the message that was started, until it or the piece is whole.
    async fn go_on(&mut self) {
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

/// A whole answer: if it is small at once, else a piece at a time.
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

/// The next piece.
pub(super) async fn next(
    printer: &mut Printer,
    messages: &mut impl Messages,
) -> Result<Option<Piece>, Stopped> {
    loop {
        printer.go_on().await;
        if printer.out.len() >= PIECE_BYTES || !messages.start_next(printer).await? {
            return Ok(printer.take());
        }
    }
}

/// The bytes of a piece, whose messages leave with them.
pub(super) fn sent(Piece { bytes, leased }: Piece) -> Bytes {
    undelivered::hold(Box::new(leased));
    bytes
}

/// A message that is looked at and stays.
pub(super) fn looked_at(cores: &Router, memory: Taken) -> Leased {
    let mut leased = Leased::new(cores);
    leased.add(None, memory);
    leased
}
