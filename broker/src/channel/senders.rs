//! Senders that wait for room, let in in the order in which they came.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

/// Names a waiting sender within its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderId(u64);

/// The senders that wait for room in one channel. The first keeps its place until its message is stored, so that nobody
/// slips in between its waking and its coming. Generic over whose they are.
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
    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// One more sender waits; it is woken when it is its turn and there may be room.
    pub fn push(&mut self, holder: H) -> (SenderId, Arc<Notify>) {
        let (id, wake) = (SenderId(self.next), Arc::new(Notify::new()));
        self.next += 1;
        self.queue.push_back((id, wake.clone(), holder));
        (id, wake)
    }

    /// Whether a sender may come in: it is the first of those who wait, or nobody does.
    pub fn may_enter(&self, id: Option<SenderId>) -> bool {
        self.queue.front().is_none_or(|(first, ..)| Some(*first) == id)
    }

    /// A sender waits no longer: its message is stored, or it gives up.
    pub fn remove(&mut self, id: SenderId) {
        self.queue.retain(|(other, ..)| *other != id);
    }

    /// There may be room for the first.
    pub fn wake(&self) {
        if let Some((_, wake, _)) = self.queue.front() {
            wake.notify_one();
        }
    }

    /// Whose the waiting senders are.
    pub fn holders(&self) -> impl Iterator<Item = &H> {
        self.queue.iter().map(|(.., holder)| holder)
    }

    /// Everybody looks again: the channel is not what it was.
    pub fn wake_all(&self) {
        self.queue.iter().for_each(|(_, wake, _)| wake.notify_one());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_comes_in_only_when_nobody_waits_before_it() {
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
