//! Receivers that wait for a message, served in the order in which they came.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::clock::Millis;

/// Names a waiting receiver within its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaiterId(u64);

/// A receiver that waits: how long it wants the message, and where to send it. Generic over what is sent.
#[derive(Debug)]
pub struct Waiter<T> {
    /// How long the message will be the receiver's.
    pub lease: Millis,
    /// Where it is sent.
    pub sender: oneshot::Sender<T>,
}

/// The receivers that wait on one channel. Costs nothing while nobody waits: no task, no timer, no thread.
#[derive(Debug)]
pub struct WaitingReceivers<T> {
    // Ids only grow, so the map's order is the order of arrival, and one that gives up leaves from anywhere.
    waiters: BTreeMap<WaiterId, Waiter<T>>,
    next: u64,
}

impl<T> Default for WaitingReceivers<T> {
    fn default() -> Self {
        Self { waiters: BTreeMap::new(), next: 0 }
    }
}

impl<T> WaitingReceivers<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// One more receiver waits.
    pub fn push(&mut self, lease: Millis) -> (WaiterId, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        let id = WaiterId(self.next);
        self.next += 1;
        self.waiters.insert(id, Waiter { lease, sender });
        (id, receiver)
    }

    /// The receiver whose turn it is waits no longer.
    pub fn pop(&mut self) -> Option<Waiter<T>> {
        self.waiters.pop_first().map(|(_, waiter)| waiter)
    }

    /// A receiver gives up.
    pub fn remove(&mut self, id: WaiterId) {
        self.waiters.remove(&id);
    }

    /// Everybody is sent away: their receivers end without a message.
    pub fn clear(&mut self) {
        self.waiters.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_served_in_the_order_in_which_they_came() {
        let mut waiting = WaitingReceivers::<u8>::default();
        let (_, mut first) = waiting.push(1);
        let (second, _gone) = waiting.push(2);
        let (_, mut third) = waiting.push(3);
        waiting.remove(second);
        waiting.pop().unwrap().sender.send(10).unwrap();
        waiting.pop().unwrap().sender.send(30).unwrap();
        assert_eq!((first.try_recv(), third.try_recv()), (Ok(10), Ok(30)));
        assert!(waiting.is_empty());
    }
}
