//! Receivers that wait for a message, served in the order in which they came.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::clock::Millis;

/// Names a waiting receiver within its channel: its place in the queue, and how often that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaiterId {
    place: u64,
    takeovers: u32,
}

/// Names a pull whose answer may be lost, so that its repeat is recognised.
pub type AttemptId = std::sync::Arc<str>;

/// A pull under an attempt id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Under which a repeat is recognised.
    pub id: AttemptId,
    /// What a repeat must ask for again.
    pub form: PullForm,
}

/// What a pull asks for besides its wait: a repeat in another form is another pull, and could not be answered by the same
/// messages and leases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullForm {
    /// The most messages of a batch; none for a single message.
    pub batch_max: Option<u32>,
    /// The lease that was asked for, before the channel's bounds; none for the channel's own.
    pub lease_seconds: Option<u32>,
}

/// Why a receiver waits no longer though no message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissed {
    /// The channel's address is gone.
    Gone,
    /// The pull was repeated, and the repeat has its place.
    Repeated,
}

/// A receiver that waits: how long it wants the message, and where to send it. Generic over what is sent, and whose share of what
/// all receivers share it takes.
#[derive(Debug)]
pub struct Waiter<T, H> {
    /// How long the message will be the receiver's.
    pub lease: Millis,
    /// Under which its repeat is recognised.
    pub attempt: Option<Attempt>,
    /// Whose it is.
    pub holder: H,
    /// Where the message is sent.
    pub sender: oneshot::Sender<Result<T, Dismissed>>,
    takeovers: u32,
}

/// The receivers that wait on one channel. Costs nothing while nobody waits: no task, no timer, no thread.
#[derive(Debug)]
pub struct WaitingReceivers<T, H> {
    // Places only grow, so the map's order is the order of arrival, and one that gives up leaves from anywhere.
    waiters: BTreeMap<u64, Waiter<T, H>>,
    next: u64,
}

/// Where a waiting receiver's message comes.
pub type Arrival<T> = oneshot::Receiver<Result<T, Dismissed>>;

impl<T, H> Default for WaitingReceivers<T, H> {
    fn default() -> Self {
        Self { waiters: BTreeMap::new(), next: 0 }
    }
}

impl<T, H> WaitingReceivers<T, H> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// One more receiver waits.
    pub fn push(&mut self, lease: Millis, attempt: Option<Attempt>, holder: H) -> (WaiterId, Arrival<T>) {
        let (sender, arrival) = oneshot::channel();
        let place = self.next;
        self.next += 1;
        self.waiters.insert(place, Waiter { lease, attempt, holder, sender, takeovers: 0 });
        (WaiterId { place, takeovers: 0 }, arrival)
    }

    /// A repeat takes the place of a receiver that still waits, and that one is told.
    pub fn take_over(&mut self, id: WaiterId, lease: Millis) -> Option<(WaiterId, Arrival<T>)> {
        let waiter = self.waiters.get_mut(&id.place).filter(|waiter| waiter.takeovers == id.takeovers)?;
        let (sender, arrival) = oneshot::channel();
        let before = std::mem::replace(&mut waiter.sender, sender);
        // Whoever has hung up need not be told.
        let _ = before.send(Err(Dismissed::Repeated));
        (waiter.lease, waiter.takeovers) = (lease, waiter.takeovers + 1);
        Some((WaiterId { takeovers: waiter.takeovers, ..id }, arrival))
    }

    /// The first receiver that has what it takes to be served waits no longer; the others keep their places.
    pub fn pop<R>(&mut self, mut has: impl FnMut(&H) -> Option<R>) -> Option<(WaiterId, Waiter<T, H>, R)> {
        let (place, what) =
            self.waiters.iter().find_map(|(place, waiter)| Some((*place, has(&waiter.holder)?)))?;
        let waiter = self.waiters.remove(&place)?;
        Some((WaiterId { place, takeovers: waiter.takeovers }, waiter, what))
    }

    /// Whose the waiting receivers are.
    pub fn holders(&self) -> impl Iterator<Item = &H> {
        self.waiters.values().map(|waiter| &waiter.holder)
    }

    /// A receiver gives up; unless its place was taken over.
    pub fn remove(&mut self, id: WaiterId) -> Option<Waiter<T, H>> {
        self.waiters.get(&id.place).filter(|waiter| waiter.takeovers == id.takeovers)?;
        self.waiters.remove(&id.place)
    }

    /// Everybody is sent away.
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
    fn receivers_are_served_in_the_order_in_which_they_came() {
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
    fn a_repeat_has_the_place_of_the_first_which_cannot_give_it_up_any_more() {
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
    fn a_receiver_that_lacks_what_it_takes_keeps_its_place_and_the_next_is_served() {
        let mut waiting = WaitingReceivers::<u8, u8>::default();
        let (first, _first) = waiting.push(1, None, 7);
        let (second, _second) = waiting.push(1, None, 8);
        assert_eq!(waiting.pop(|holder| (*holder == 8).then_some(())).unwrap().0, second);
        assert_eq!(waiting.pop(|_| Some(())).unwrap().0, first);
    }
}
