//! Group commit: many requests, one write and one sync. Every answer waits for the batch of its records.

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

/// The log could not be read, written or synced. Recovery decides its content after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a disk operation on the broker's log failed, and the broker stops; the next start decides what was stored; repeat \
     the request then"
)]
pub struct StoreFailed;

/// One commit batch: the records of many requests.
#[derive(Debug, Default)]
pub struct CommitBatch {
    state: AtomicU8,
    waiting: Mutex<Waiting>,
}

/// The tasks that wait for the batch to be written, or committed.
#[derive(Debug, Default)]
struct Waiting {
    written: Vec<Waker>,
    committed: Vec<Waker>,
}

/// Permission to send an answer: when the batch is committed, or already when it is written, as the request needs.
#[derive(Debug, Clone)]
#[must_use = "an answer must not leave before its group is committed"]
pub struct Ticket(Option<(Arc<CommitBatch>, Sync)>);

impl CommitBatch {
    /// The batch and all before it are written: they survive a crash of the process.
    pub fn written(&self) {
        self.state.store(WRITTEN, Ordering::Release);
        let written = std::mem::take(&mut self.waiting().written);
        written.into_iter().for_each(Waker::wake);
    }

    /// Reports the outcome: the batch and all before it are committed, or the batch never will be.
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
    /// A ticket that is committed already: there was nothing to write.
    pub fn committed() -> Self {
        Self(None)
    }

    /// The ticket of a batch: committed with all before it, or written.
    pub fn of(group: &Arc<CommitBatch>, sync: Sync) -> Self {
        Self(Some((group.clone(), sync)))
    }

    /// Waits until the answer may be sent.
    pub async fn wait(self) -> Result<(), StoreFailed> {
        self.wait_by(Waker::clone).await
    }

    /// [`Self::wait`] with a waker made from the task's.
    pub(crate) async fn wait_by(self, make: impl Fn(&Waker) -> Waker) -> Result<(), StoreFailed> {
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
            // The batch may have been finished between the two checks.
            group.outcome(sync).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_waits_for_its_batch_and_gets_the_outcome() {
        for (committed, outcome) in [(true, Ok(())), (false, Err(StoreFailed))] {
            let group = Arc::new(CommitBatch::default());
            let answer = tokio::spawn(Ticket::of(&group, Sync::Now).wait());
            tokio::task::yield_now().await;
            assert!(!answer.is_finished());
            group.finish(committed);
            assert_eq!(answer.await.unwrap(), outcome);
        }
        assert_eq!(Ticket::committed().wait().await, Ok(()));
    }

    #[tokio::test]
    async fn an_answer_that_needs_no_sync_does_not_wait_for_it() {
        let group = Arc::new(CommitBatch::default());
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
