//! Senders that wait for room, admitted in the order of arrival.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

/// Identifies a waiting sender within its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderId(u64);

/// The senders that wait for room in one channel. The first keeps its place until its message is stored, so that no
/// other slips in between its waking and its push. `H` is the holder of the place.
#[derive(Debug)]
pub struct WaitingSenders<H> {
    queue: VecDeque<(SenderId, Arc<Notify>, H)>,
    next: u64,
}

impl<H> Default for WaitingSenders<H> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), next: 0 }
    }
}

impl<H> WaitingSenders<H> {
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a sender; it is woken when it is first and there may be room.
    pub fn push(&mut self, holder: H) -> (SenderId, Arc<Notify>) {
        let (id, wake) = (SenderId(self.next), Arc::new(Notify::new()));
        self.next += 1;
        self.queue.push_back((id, wake.clone(), holder));
        (id, wake)
    }

    /// Whether a sender may push: it is the first, or no sender waits.
    pub fn may_enter(&self, id: Option<SenderId>) -> bool {
        self.queue.front().is_none_or(|(first, ..)| Some(*first) == id)
    }

    /// Removes a sender: its message is stored, or it stopped waiting.
    pub fn remove(&mut self, id: SenderId) {
        self.queue.retain(|(other, ..)| *other != id);
    }

    /// Wakes the first sender: there may be room.
    pub fn wake(&self) {
        if let Some((_, wake, _)) = self.queue.front() {
            wake.notify_one();
        }
    }

    /// The holders of all places.
    pub fn holders(&self) -> impl Iterator<Item = &H> {
        self.queue.iter().map(|(.., holder)| holder)
    }

    /// Wakes all senders after a change of the channel, so that each checks again.
    pub fn wake_all(&self) {
        self.queue.iter().for_each(|(_, wake, _)| wake.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_admitted_only_when_it_is_first() {
        let mut senders = WaitingSenders::<()>::default();
        assert!(senders.may_enter(None));
        let (first, _) = senders.push(());
        let (second, _) = senders.push(());
        assert!(senders.may_enter(Some(first)));
        assert!(!senders.may_enter(Some(second)) && !senders.may_enter(None));
        senders.remove(first);
        assert!(senders.may_enter(Some(second)));
    }
}
