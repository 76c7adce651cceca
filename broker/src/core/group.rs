//! Group commit: many requests, one write and one sync. Every answer waits for the group that its records are in.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

const OPEN: u8 = 0;
const COMMITTED: u8 = 1;
const FAILED: u8 = 2;

/// The log could not be written or synced. What it holds is decided by recovery, after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log could not be written or synced; the broker stops, and what was stored is decided when it starts again"
)]
pub struct StoreFailed;

/// One group commit: the records of many requests.
#[derive(Debug, Default)]
pub struct Group {
    state: AtomicU8,
    waiting: Mutex<Vec<Waker>>,
}

/// The promise of an answer: it may leave when the group is committed.
#[derive(Debug, Clone)]
#[must_use = "an answer must not leave before its group is committed"]
pub struct Ticket(Option<Arc<Group>>);

impl Group {
    /// The group is on disk, or never will be: everybody who waits is told.
    pub fn finish(&self, committed: bool) {
        self.state.store(if committed { COMMITTED } else { FAILED }, Ordering::Release);
        for waker in std::mem::take(&mut *self.wakers()) {
            waker.wake();
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Vec<Waker>> {
        // A list of wakers cannot be left half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self) -> Option<Result<(), StoreFailed>> {
        match self.state.load(Ordering::Acquire) {
            COMMITTED => Some(Ok(())),
            FAILED => Some(Err(StoreFailed)),
            OPEN | 3.. => None,
        }
    }
}

impl Ticket {
    /// A promise kept already: there was nothing to write.
    pub fn committed() -> Self {
        Self(None)
    }

    /// The promise of a group.
    pub fn of(group: &Arc<Group>) -> Self {
        Self(Some(group.clone()))
    }

    /// Waits until the group is on disk.
    pub async fn wait(self) -> Result<(), StoreFailed> {
        let Some(group) = self.0 else { return Ok(()) };
        poll_fn(|context| {
            if let Some(outcome) = group.outcome() {
                return Poll::Ready(outcome);
            }
            group.wakers().push(context.waker().clone());
            // The group may have been finished between the two looks.
            group.outcome().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_waits_for_its_group_and_learns_how_it_went() {
        for (committed, outcome) in [(true, Ok(())), (false, Err(StoreFailed))] {
            let group = Arc::new(Group::default());
            let answer = tokio::spawn(Ticket::of(&group).wait());
            tokio::task::yield_now().await;
            assert!(!answer.is_finished());
            group.finish(committed);
            assert_eq!(answer.await.unwrap(), outcome);
        }
        assert_eq!(Ticket::committed().wait().await, Ok(()));
    }
}
