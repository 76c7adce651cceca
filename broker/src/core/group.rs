//! Group commit: many requests, one write and one sync. Every answer waits for the group that its records are in.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Poll, Waker},
};

use crate::log::Sync;

const OPEN: u8 = 0;
const WRITTEN: u8 = 1;
const COMMITTED: u8 = 2;
const FAILED: u8 = 3;

/// The log could not be read, written or synced. What it holds is decided by recovery, after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a read, a write or a sync of the broker's log failed, and its own log says which; the broker stops, and what was stored is \
     decided when it starts again"
)]
pub struct StoreFailed;

/// One group commit: the records of many requests.
#[derive(Debug, Default)]
pub struct Group {
    state: AtomicU8,
    waiting: Mutex<Waiting>,
}

/// Who waits, and for what.
#[derive(Debug, Default)]
struct Waiting {
    written: Vec<Waker>,
    committed: Vec<Waker>,
}

/// The promise of an answer: it may leave when the group is committed, or already when it is written, as the request has it.
#[derive(Debug, Clone)]
#[must_use = "an answer must not leave before its group is committed"]
pub struct Ticket(Option<(Arc<Group>, Sync)>);

impl Group {
    /// The group is written, and so are all before it: it outlives the process.
    pub fn written(&self) {
        self.state.store(WRITTEN, Ordering::Release);
        let written = std::mem::take(&mut self.waiting().written);
        written.into_iter().for_each(Waker::wake);
    }

    /// The group is committed and so are all before it, or it never will be: everybody who waits is told.
    pub fn finish(&self, committed: bool) {
        self.state.store(if committed { COMMITTED } else { FAILED }, Ordering::Release);
        let Waiting { written, committed } = std::mem::take(&mut *self.waiting());
        written.into_iter().chain(committed).for_each(Waker::wake);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Lists of wakers cannot be left half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self, sync: Sync) -> Option<Result<(), StoreFailed>> {
        match self.state.load(Ordering::Acquire) {
            COMMITTED => Some(Ok(())),
            WRITTEN if sync == Sync::Later => Some(Ok(())),
            FAILED => Some(Err(StoreFailed)),
            OPEN | WRITTEN | 4.. => None,
        }
    }
}

impl Ticket {
    /// A promise kept already: there was nothing to write.
    pub fn committed() -> Self {
        Self(None)
    }

    /// The promise of a group: that it is on disk with all before it, or that it is written.
    pub fn of(group: &Arc<Group>, sync: Sync) -> Self {
        Self(Some((group.clone(), sync)))
    }

    /// Waits until the promise is kept.
    pub async fn wait(self) -> Result<(), StoreFailed> {
        self.wait_by(Waker::clone).await
    }

    /// The same, woken by a waker that is made of the task's.
    pub(super) async fn wait_by(self, make: impl Fn(&Waker) -> Waker) -> Result<(), StoreFailed> {
        let Some((group, sync)) = self.0 else { return Ok(()) };
        poll_fn(|context| {
            if let Some(outcome) = group.outcome(sync) {
                return Poll::Ready(outcome);
            }
            let waker = make(context.waker());
            match sync {
                Sync::Later => group.waiting().written.push(waker),
                Sync::Now => group.waiting().committed.push(waker),
            }
            // The group may have been finished between the two looks.
            group.outcome(sync).map_or(Poll::Pending, Poll::Ready)
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
            let answer = tokio::spawn(Ticket::of(&group, Sync::Now).wait());
            tokio::task::yield_now().await;
            assert!(!answer.is_finished());
            group.finish(committed);
            assert_eq!(answer.await.unwrap(), outcome);
        }
        assert_eq!(Ticket::committed().wait().await, Ok(()));
    }

    #[tokio::test]
    async fn an_answer_that_needs_no_sync_waits_for_none() {
        let group = Arc::new(Group::default());
        let [lease, settle] =
            [Sync::Later, Sync::Now].map(|sync| tokio::spawn(Ticket::of(&group, sync).wait()));
        tokio::task::yield_now().await;
        assert!(!lease.is_finished() && !settle.is_finished());
        group.written();
        assert_eq!(lease.await.unwrap(), Ok(()));
        tokio::task::yield_now().await;
        assert!(!settle.is_finished());
        group.finish(true);
        assert_eq!(settle.await.unwrap(), Ok(()));
    }
}
