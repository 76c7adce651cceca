//! A leased message on its way to its receiver.

use tokio::sync::mpsc;

use crate::{
    channel::Claim,
    log::{ChannelId, Log},
    shard::Shard,
};

/// Returns a message to its channel when it is dropped before the message was sent: it takes its old place at once, and
/// the delivery does not count. Dropping it only queues the return, so it may be dropped anywhere.
#[derive(Debug)]
pub struct Handout {
    /// `None` once the receiver keeps the message.
    back: Option<mpsc::UnboundedSender<(ChannelId, Claim)>>,
    channel: ChannelId,
    claim: Claim,
}

/// Makes the guards of a shard's messages.
#[derive(Default)]
pub(super) struct Handouts {
    /// Unbounded: each entry is a leased message. `None` until a thread takes the messages back.
    back: Option<mpsc::UnboundedSender<(ChannelId, Claim)>>,
}

/// The messages that return to a shard's channels.
pub(crate) type ReturnQueue = mpsc::UnboundedReceiver<(ChannelId, Claim)>;

impl Handout {
    /// The guard of a message that an earlier answer may have brought to the receiver.
    pub(super) fn kept(channel: ChannelId, claim: Claim) -> Self {
        Self { back: None, channel, claim }
    }

    /// The receiver keeps the message: it was sent, or is settled.
    pub fn keep(&mut self) {
        self.back = None;
    }

    /// The channel and the lease of the message.
    pub fn claim(&self) -> (ChannelId, Claim) {
        (self.channel, self.claim)
    }
}

impl Drop for Handout {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            // The queue ends with the shard, which holds no leases then.
            let _ = back.send((self.channel, self.claim));
        }
    }
}

impl Handouts {
    /// The guard of a message that was just leased.
    pub(super) fn of(&self, channel: ChannelId, claim: Claim) -> Handout {
        Handout { back: self.back.clone(), channel, claim }
    }

    /// The queue of messages that return from now on, for the shard's thread.
    pub(super) fn returns(&mut self) -> ReturnQueue {
        let (back, returns) = mpsc::unbounded_channel();
        self.back = Some(back);
        returns
    }
}

impl<L: Log> Shard<L> {
    /// The queue of messages that return from now on, for the shard's thread.
    pub(crate) fn returns(&mut self) -> ReturnQueue {
        self.handouts.returns()
    }

    /// Returns leased messages that were not sent.
    pub(crate) fn take_back(&mut self, returned: impl Iterator<Item = (ChannelId, Claim)>) {
        returned.for_each(|(channel_id, claim)| self.return_unsent(channel_id, claim));
    }
}
