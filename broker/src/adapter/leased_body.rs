//! Messages on their way to a receiver, and the body of an answer that is one message. If the connection ends before
//! the kernel has the last byte, the messages are released at once and the deliveries do not count.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use crate::{
    channel::Claim,
    core::Router,
    http::undelivered::{self, SendGuard},
    log::ChannelId,
    shared::Allocation,
};

/// Messages on their way to a receiver, with the memory that they take. If this is dropped before they were sent, they
/// are released and take their old places.
pub(super) struct ReleaseGuard {
    cores: Router,
    claims: SmallVec<[(ChannelId, Claim); 1]>,
    memory: SmallVec<[Allocation; 1]>,
}

/// A message's body on its way to the receiver.
pub(super) struct LeasedBody {
    content: Bytes,
    /// `None` once the connection has taken the content.
    leased: Option<Box<ReleaseGuard>>,
}

impl ReleaseGuard {
    /// No messages yet.
    pub(super) fn new(cores: &Router) -> Self {
        Self { cores: cores.clone(), claims: SmallVec::new(), memory: SmallVec::new() }
    }

    /// Adds a message. Without a claim, the message is not released if it is not sent.
    pub(super) fn add(&mut self, claim: Option<(ChannelId, Claim)>, memory: Allocation) {
        self.claims.extend(claim);
        self.memory.push(memory);
    }

    /// Adds the messages of `other`.
    pub(super) fn append(&mut self, mut other: Self) {
        self.claims.append(&mut other.claims);
        self.memory.append(&mut other.memory);
    }

    /// The claims of the messages that would be released.
    pub(super) fn claims(&self) -> &[(ChannelId, Claim)] {
        &self.claims
    }
}

impl SendGuard for ReleaseGuard {
    fn sent(mut self: Box<Self>) {
        self.claims.clear();
    }
}

impl Drop for ReleaseGuard {
    fn drop(&mut self) {
        for (channel, claim) in self.claims.drain(..) {
            self.cores.tell(channel, move |core| core.return_unsent(channel, claim));
        }
    }
}

impl LeasedBody {
    /// A body of bytes that contain these messages.
    pub(super) fn new(leased: ReleaseGuard, content: Bytes) -> Self {
        Self { content, leased: Some(Box::new(leased)) }
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
        undelivered::hold(leased);
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.content)))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}

impl Drop for LeasedBody {
    fn drop(&mut self) {
        // An empty content has no frame: the whole answer is in the head, which is written next or already.
        if self.content.is_empty()
            && let Some(leased) = self.leased.take()
        {
            undelivered::hold(leased);
        }
    }
}
