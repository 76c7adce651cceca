//! The body of an answer that holds messages: when the connection ends before the last byte went to the kernel, the messages
//! are released at once and the hand-outs do not count.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    channel::Claim,
    core::Reach,
    http::{
        body::Reservation,
        outbox::{self, Parcel},
    },
};

/// Messages on their way to a receiver. Dropped before they were sent, they take their old places.
pub(super) struct Leased {
    cores: Reach,
    claims: Vec<(u32, Claim)>,
    _memory: Reservation,
}

/// Messages' contents on their way to the receiver.
pub(super) struct LeasedBody {
    content: Bytes,
    /// Until the content was taken.
    leased: Option<Box<Leased>>,
}

impl Leased {
    /// The messages of these claims, in so many bytes.
    pub(super) fn new(context: &super::Context, claims: Vec<(u32, Claim)>, bytes: usize) -> Box<Self> {
        Box::new(Self { cores: context.cores.clone(), claims, _memory: context.answers.keep(bytes) })
    }
}

impl Parcel for Leased {
    fn sent(mut self: Box<Self>) {
        self.claims.clear();
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        for (channel, claim) in self.claims.drain(..) {
            self.cores.tell(channel, move |core| core.take_back(channel, claim));
        }
    }
}

impl LeasedBody {
    /// The bytes that hold these messages.
    pub(super) fn new(leased: Box<Leased>, content: Bytes) -> Self {
        Self { content, leased: Some(leased) }
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(leased) = self.leased.take() else { return Poll::Ready(None) };
        outbox::hold(leased);
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.content)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}

impl Drop for LeasedBody {
    fn drop(&mut self) {
        // An empty content needs no frame: its answer is all in the head, which is written next or was.
        if self.content.is_empty()
            && let Some(leased) = self.leased.take()
        {
            outbox::hold(leased);
        }
    }
}
