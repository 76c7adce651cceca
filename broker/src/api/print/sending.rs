//! The body of an answer that is one piece. If the connection ends before the kernel has the last byte, its messages
//! return to their channel at once and the deliveries do not count.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    http::undelivered::{self, SendGuard},
    service::Sending,
};

/// Bytes on their way to the receiver, with the messages in them.
pub(in crate::api) struct SendingBody {
    content: Bytes,
    /// `None` once the connection has taken the content.
    sending: Option<Box<Sending>>,
}

impl SendGuard for Sending {
    fn sent(self: Box<Self>) {
        Self::sent(*self);
    }
}

impl SendingBody {
    /// A body of bytes that contain these messages.
    pub(in crate::api) fn new(sending: Sending, content: Bytes) -> Self {
        Self { content, sending: Some(Box::new(sending)) }
    }
}

impl Body for SendingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(sending) = self.sending.take() else { return Poll::Ready(None) };
        undelivered::hold(sending);
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.content)))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}

impl Drop for SendingBody {
    fn drop(&mut self) {
        // An empty content has no frame: the whole answer is in the head, which is written next or already.
        if self.content.is_empty()
            && let Some(sending) = self.sending.take()
        {
            undelivered::hold(sending);
        }
    }
}
