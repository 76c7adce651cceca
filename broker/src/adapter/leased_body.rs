//! The body of an answer that holds a message: when the answer is dropped before the content was sent, the message is
//! released at once and the hand-out does not count.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    channel::Claim,
    core::{Delivery, SharedCore},
};

/// A message's content on its way to the receiver.
pub(super) struct LeasedBody {
    content: Option<Bytes>,
    core: SharedCore,
    channel: u32,
    claim: Claim,
}

impl LeasedBody {
    /// The content of a delivery.
    pub(super) fn new(core: SharedCore, delivery: Delivery) -> Self {
        let Delivery { channel, granted, content, .. } = delivery;
        Self { content: Some(content.body), core, channel, claim: granted.claim() }
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
            self.core.with(|core| core.take_back(self.channel, self.claim));
        }
    }
}
