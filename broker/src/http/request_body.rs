//! The body of an HTTP/1 request, which tells its line when the rest will not be read.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::line::Line;

pub(super) struct RequestBody {
    incoming: Incoming,
    line: Arc<Line>,
    /// Whether the client waits for a 100 before it sends the body (`Expect: 100-continue`). If the body is not read,
    /// it never comes.
    asks_first: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, line: &Arc<Line>, asks_first: bool) -> Self {
        Self { incoming, line: line.clone(), asks_first }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.incoming).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.incoming.is_end_stream() {
            let length = self.incoming.size_hint().upper().filter(|_| !self.asks_first);
            self.line.leaves_unread(length);
        }
    }
}
