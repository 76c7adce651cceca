//! The body of an answer as the connection takes it: in pieces that know when they left.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{line::Answering, piece::Piece, progress::Progress, undelivered::collect};

/// The largest last frame that ends its HTTP/2 stream at once. The task of a stream, and with it the watch over its progress,
/// ends when the stream's end is queued, though the peer's window may hold the frame back: so the end of a larger frame waits
/// until the frame has left.
const ENDS_WITH_BYTES_MAX: usize = 1024;

/// An answer's body on its way.
pub(super) struct AnswerBody<O> {
    body: Body,
    /// Of an HTTP/2 stream.
    progress: Option<Arc<Progress>>,
    /// Bytes of the frame that was returned last.
    last_bytes: usize,
    /// For as long as it goes on, its line is busy and its request is open.
    open: (Answering, O),
}

impl<O> AnswerBody<O> {
    /// The body of an answer whose head leaves now.
    pub(super) fn new(body: Body, progress: Option<Arc<Progress>>, open: (Answering, O)) -> Self {
        if let Some(progress) = &progress {
            progress.waits_for_peer();
        }
        Self { body, progress, last_bytes: 0, open }
    }
}

impl<O: Unpin> HttpBody for AnswerBody<O> {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = self.get_mut();
        // hyper asks for the next frame when this one is queued: until it has left, its stream is not over, and nobody makes more.
        if let Some(progress) = &this.progress {
            ready!(progress.poll_taken(context));
        }
        let (frame, parcels) = collect(|| Pin::new(&mut this.body).poll_frame(context));
        if let Some(progress) = &this.progress {
            if frame.is_pending() { progress.waits_for_us() } else { progress.waits_for_peer() }
        }
        frame.map_ok(|frame| {
            frame.map_data(|bytes| {
                this.last_bytes = bytes.len();
                this.progress.iter().for_each(|progress| progress.hands(bytes.len()));
                Piece::new(bytes, parcels, this.open.0.line(), this.progress.clone())
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && (self.progress.is_none() || self.last_bytes <= ENDS_WITH_BYTES_MAX)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<O> Drop for AnswerBody<O> {
    fn drop(&mut self) {
        // An answer whose content is empty is all in its head, which is written next or was.
        let ((), parcels) = collect(|| self.body = Body::empty());
        if !parcels.is_empty() {
            self.open.0.line().undelivered.taken(parcels);
        }
    }
}
