//! The body of an answer that holds messages: when the answer is dropped before the content was sent, the messages are
//! released at once and the hand-outs do not count.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{channel::Claim, core::SharedCore};

/// Messages' contents on their way to the receiver.
pub(super) struct LeasedBody {
    content: Option<Bytes>,
    core: SharedCore,
    claims: Vec<(u32, Claim)>,
}

impl LeasedBody {
    /// The bytes that hold the messages of these claims.
    pub(super) fn new(core: SharedCore, claims: Vec<(u32, Claim)>, content: Bytes) -> Self {
        Self { content: Some(content), core, claims }
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, Bytes::len) as u64)
    }
}

impl Drop for LeasedBody {
    fn drop(&mut self) {
        // An empty content needs no frame: its answer is all in the head, and counts as sent.
        if self.content.as_ref().is_some_and(|content| !content.is_empty()) {
            for (channel, claim) in &self.claims {
                self.core.with(|core| core.take_back(*channel, *claim));
            }
        }
    }
}
