//! Receivers that wait for a message, served in the order of arrival.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::clock::Millis;

/// Identifies a waiting receiver within its channel: its place in the queue, and how many times a repeat took it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaiterId {
    place: u64,
    takeovers: u32,
}

/// Identifies a pull whose answer may be lost, so that its repeat is recognised.
pub type AttemptId = std::sync::Arc<str>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    /// A repeat must have the same form.
    pub form: PullForm,
}

/// The parameters of a pull besides its wait. A repeat with others is another pull: the same messages and leases could
/// not answer it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullForm {
    /// Maximum of messages in a batch; `None` for a single message.
    pub batch_max: Option<u32>,
    /// The requested lease, before the channel's bounds; `None` for the channel's default.
    pub lease_seconds: Option<u32>,
}

/// Why a receiver stops waiting without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissed {
    /// The channel was deleted.
    Gone,
    /// The pull was repeated, and the repeat has its place.
    Repeated,
}

/// A waiting receiver. `T` is the type of its message, `H` the holder of its place, who has a share of all places.
#[derive(Debug)]
pub struct Waiter<T, H> {
    pub lease: Millis,
    pub attempt: Option<Attempt>,
    pub holder: H,
    pub sender: oneshot::Sender<Result<T, Dismissed>>,
    takeovers: u32,
}

/// The receivers that wait on one channel. An idle channel costs nothing: no task, no timer, no thread.
#[derive(Debug)]
pub struct WaitingReceivers<T, H> {
    // StateIndex only grow, so the map's order is the order of arrival, and a receiver can leave from any place.
    waiters: BTreeMap<u64, Waiter<T, H>>,
    next: u64,
}

/// The receiving end for a waiting receiver's message.
pub type Arrival<T> = oneshot::Receiver<Result<T, Dismissed>>;

impl<T, H> Default for WaitingReceivers<T, H> {
    fn default() -> Self {
        Self { waiters: BTreeMap::new(), next: 0 }
    }
}

impl<T, H> WaitingReceivers<T, H> {
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub fn push(&mut self, lease: Millis, attempt: Option<Attempt>, holder: H) -> (WaiterId, Arrival<T>) {
        let (sender, arrival) = oneshot::channel();
        let place = self.next;
        self.next += 1;
        self.waiters.insert(place, Waiter { lease, attempt, holder, sender, takeovers: 0 });
        (WaiterId { place, takeovers: 0 }, arrival)
    }

    /// Gives the place of a waiting receiver to a repeat of its pull, and dismisses the first pull.
    pub fn take_over(&mut self, id: WaiterId, lease: Millis) -> Option<(WaiterId, Arrival<T>)> {
        let waiter = self.waiters.get_mut(&id.place).filter(|waiter| waiter.takeovers == id.takeovers)?;
        let (sender, arrival) = oneshot::channel();
        let before = std::mem::replace(&mut waiter.sender, sender);
        // The first pull may have been closed.
        let _ = before.send(Err(Dismissed::Repeated));
        (waiter.lease, waiter.takeovers) = (lease, waiter.takeovers + 1);
        Some((WaiterId { takeovers: waiter.takeovers, ..id }, arrival))
    }

    /// Removes the first receiver for which `has` returns something; the others keep their places.
    pub fn pop<R>(&mut self, mut has: impl FnMut(&H) -> Option<R>) -> Option<(WaiterId, Waiter<T, H>, R)> {
        let (place, what) =
            self.waiters.iter().find_map(|(place, waiter)| Some((*place, has(&waiter.holder)?)))?;
        let waiter = self.waiters.remove(&place)?;
        Some((WaiterId { place, takeovers: waiter.takeovers }, waiter, what))
    }

    /// The holders of all places.
    pub fn holders(&self) -> impl Iterator<Item = &H> {
        self.waiters.values().map(|waiter| &waiter.holder)
    }

    /// Removes a receiver, unless a repeat took over its place.
    pub fn remove(&mut self, id: WaiterId) -> Option<Waiter<T, H>> {
        self.waiters.get(&id.place).filter(|waiter| waiter.takeovers == id.takeovers)?;
        self.waiters.remove(&id.place)
    }

    /// Dismisses all receivers.
    pub fn dismiss(&mut self) {
        for (_, waiter) in std::mem::take(&mut self.waiters) {
            let _ = waiter.sender.send(Err(Dismissed::Gone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_served_in_the_order_of_arrival() {
        let mut waiting = WaitingReceivers::<u8, u8>::default();
        let (_, mut first) = waiting.push(1, None, 0);
        let (second, _gone) = waiting.push(2, None, 0);
        let (_, mut third) = waiting.push(3, None, 0);
        waiting.remove(second);
        waiting.pop(|_| Some(())).unwrap().1.sender.send(Ok(10)).unwrap();
        waiting.pop(|_| Some(())).unwrap().1.sender.send(Ok(30)).unwrap();
        assert_eq!((first.try_recv(), third.try_recv()), (Ok(Ok(10)), Ok(Ok(30))));
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_repeat_takes_over_the_place_of_the_first_pull() {
        let mut waiting = WaitingReceivers::<u8, u8>::default();
        let (first, mut dismissed) = waiting.push(1, None, 0);
        let (_, _later) = waiting.push(1, None, 0);
        let (repeat, mut arrival) = waiting.take_over(first, 2).unwrap();
        assert_eq!(dismissed.try_recv(), Ok(Err(Dismissed::Repeated)));
        waiting.remove(first);
        assert!(waiting.take_over(first, 3).is_none());
        waiting.pop(|_| Some(())).unwrap().1.sender.send(Ok(7)).unwrap();
        assert_eq!(arrival.try_recv(), Ok(Ok(7)));
        assert!(waiting.remove(repeat).is_none());
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn a_receiver_that_cannot_be_served_keeps_its_place_and_the_next_is_served() {
        let mut waiting = WaitingReceivers::<u8, u8>::default();
        let (first, _first) = waiting.push(1, None, 7);
        let (second, _second) = waiting.push(1, None, 8);
        assert_eq!(waiting.pop(|holder| (*holder == 8).then_some(())).unwrap().0, second);
        assert_eq!(waiting.pop(|_| Some(())).unwrap().0, first);
    }
}
