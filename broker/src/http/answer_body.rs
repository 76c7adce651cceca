//! The body of an answer for hyper: in pieces that notice when they were sent.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{line::Answering, piece::Piece, progress::Progress, undelivered::collect};

/// The largest last frame that ends its HTTP/2 stream at once. The task of a stream ends when the end of the stream is
/// queued, and with it the watch over the progress, although the peer's window may hold the frame back. So after a
/// larger frame, the end waits until the frame was sent.
const ENDS_WITH_BYTES_MAX: usize = 1024;

/// The body of an answer that is being sent.
pub(super) struct AnswerBody<O> {
    body: Body,
    /// The progress of an HTTP/2 stream; `None` for HTTP/1.
    progress: Option<Arc<Progress>>,
    /// The size of the last frame.
    last_bytes: usize,
    /// Keeps the line busy and the request open until the answer is complete.
    open: (Answering, O),
}

impl<O> AnswerBody<O> {
    /// The body of an answer whose head is sent now.
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
        // hyper polls for the next frame as soon as the last one is queued. Waiting until that frame was sent keeps the
        // stream open, and nothing more is produced meanwhile.
        if let Some(progress) = &this.progress {
            ready!(progress.poll_written(context));
        }
        let (frame, guards) = collect(|| Pin::new(&mut this.body).poll_frame(context));
        if let Some(progress) = &this.progress {
            if frame.is_pending() { progress.waits_for_us() } else { progress.waits_for_peer() }
        }
        frame.map_ok(|frame| {
            frame.map_data(|bytes| {
                this.last_bytes = bytes.len();
                this.progress.iter().for_each(|progress| progress.queue(bytes.len()));
                Piece::new(bytes, guards, this.open.0.line(), this.progress.clone())
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
        // An answer with an empty content has only its head, which is written next or already.
        let ((), guards) = collect(|| self.body = Body::empty());
        if !guards.is_empty() {
            self.open.0.line().undelivered.written(guards);
        }
    }
}
