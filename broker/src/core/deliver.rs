//! Out of a channel: to the receiver that asks, or to the one that has waited longest.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Content, Core, StoreFailed, Ticket, timers::LeaseEnd};
use crate::{
    address_store::ChannelEntry,
    channel::{Claim, Granted, WaiterId},
    clock::Millis,
    log::{Record, Sync},
};

/// A message handed out.
#[derive(Debug)]
pub struct Delivery {
    /// The number of its channel.
    pub channel: u32,
    /// Which message, and the lease on it.
    pub granted: Granted,
    /// The sealed token of the lease.
    pub token: String,
    /// What was sent.
    pub content: Content,
    /// When the answer may leave.
    pub ticket: Ticket,
}

/// What a pull met.
#[derive(Debug)]
pub enum Delivered {
    /// A message.
    Now(Delivery),
    /// Nothing yet: the message is sent here when it comes. The sender is dropped when the channel goes.
    Later(WaiterId, oneshot::Receiver<Delivery>),
}

/// Why nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRefusal {
    /// The channel's deletion has begun.
    Closed,
    /// As many receivers wait as may.
    TooManyReceivers {
        /// How many that is.
        max: usize,
    },
    /// The log failed.
    StoreFailed,
}

impl From<StoreFailed> for PullRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl Core {
    /// Gives the channel's next message to the receiver for `lease`, or lets the receiver wait.
    pub fn pull(&mut self, entry: &Arc<ChannelEntry>, lease: Millis) -> Result<Delivered, PullRefusal> {
        if self.failed {
            return Err(PullRefusal::StoreFailed);
        }
        let max = self.limits.waiting_receivers;
        let channel = self.channel(entry).ok_or(PullRefusal::Closed)?;
        // Whoever waits came earlier; and nobody waits while something is ready.
        if channel.state.ready() > 0 {
            return Ok(Delivered::Now(self.hand_out(entry.number, lease)?));
        }
        if channel.waiting.len() >= max {
            return Err(PullRefusal::TooManyReceivers { max });
        }
        let (id, receiver) = channel.waiting.push(lease);
        channel.publish();
        Ok(Delivered::Later(id, receiver))
    }

    /// The receiver waits no longer.
    pub fn stop_waiting(&mut self, number: u32, id: WaiterId) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.waiting.remove(id);
            channel.publish();
        }
    }

    /// The answer never left: the message takes its old place, and the hand-out does not count.
    pub fn take_back(&mut self, number: u32, claim: Claim) {
        // A lease that ended meanwhile, or a log that failed, leaves nothing to take back.
        let _ = self.release(number, claim, false);
    }

    /// Gives what is ready to those who wait.
    pub(super) fn serve_waiting(&mut self, number: u32) {
        while let Some(channel) = self.channels.get_mut(&number) {
            if channel.state.ready() == 0 {
                break;
            }
            let Some(waiter) = channel.waiting.pop() else { break };
            if waiter.sender.is_closed() {
                continue;
            }
            // After a failure the waiter's channel closes, and its answer says that the store failed.
            let Ok(delivery) = self.hand_out(number, waiter.lease) else { break };
            if let Err(delivery) = waiter.sender.send(delivery) {
                self.take_back(number, delivery.granted.claim());
            }
        }
        if let Some(channel) = self.channels.get(&number) {
            channel.publish();
        }
    }

    /// Leases the next ready message. The caller has made sure that there is one.
    fn hand_out(&mut self, number: u32, lease: Millis) -> Result<Delivery, StoreFailed> {
        let ends_at = self.clock.now() + lease;
        let channel = self.channels.get_mut(&number).expect("the caller found the channel");
        let granted = channel.state.lease_next(ends_at, self.start).expect("the caller saw a ready message");
        channel.counters.delivered.fetch_add(1, Relaxed);
        channel.publish();
        let content = self.content(number, &granted)?;
        self.metrics.delivered.inc();
        if granted.deliveries() > 1 {
            self.metrics.redelivered.inc();
        }
        let ticket = self.record_lease(number, &granted)?;
        let token = self.sealer.seal(number, granted.claim());
        Ok(Delivery { channel: number, granted, token, content, ticket })
    }

    /// Writes down a lease that was granted or renewed, and sees to its end.
    pub(super) fn record_lease(&mut self, number: u32, granted: &Granted) -> Result<Ticket, StoreFailed> {
        let record = lease_record(number, granted);
        self.append_reserved(&record)?;
        if self.timers.insert(LeaseEnd { at: granted.ends_at, channel: number, sequence: granted.sequence }) {
            self.wakers.timer.notify_one();
        }
        Ok(self.appended(Sync::Later))
    }

    /// A content, from memory or from the log.
    fn content(&mut self, number: u32, granted: &Granted) -> Result<Content, StoreFailed> {
        if let Some(content) = self.contents.get(number, granted.sequence) {
            return Ok(content);
        }
        let read = self.log.read(granted.stored.position);
        let bytes = Bytes::from(self.survive(read)?);
        match Record::decode(&bytes) {
            Ok(Record::Push { headers, body, .. }) => {
                Ok(Content { headers: bytes.slice_ref(headers), body: bytes.slice_ref(body) })
            }
            _ => unreachable!("a message's position is that of its push record, which the log has checked"),
        }
    }

    /// Ends the leases whose time is over; their messages go to those who wait.
    pub fn end_leases(&mut self) {
        let now = self.clock.now();
        while let Some(end) = self.timers.pop_ended(now) {
            let Some(channel) = self.channels.get_mut(&end.channel) else { continue };
            if channel.state.expire(end.sequence, now) {
                self.serve_waiting(end.channel);
            }
        }
    }

    /// How long until the next lease ends.
    pub fn next_lease_end(&self) -> Option<Millis> {
        self.timers.next().map(|at| at.saturating_sub(self.clock.now()))
    }
}

/// The record of a lease.
pub(super) fn lease_record(number: u32, granted: &Granted) -> Record<'static> {
    Record::Lease {
        channel: number,
        sequence: granted.sequence,
        delivery: granted.handouts.last,
        uncounted: granted.handouts.uncounted,
        start: granted.handouts.start,
        ends_ms: granted.ends_at,
    }
}
