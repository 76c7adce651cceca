//! Waiting for a log, as its owner does, without a runtime.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use crate::log::{Log, LogError, Position, Record, Scanned, Sync};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until it is ready, when it was woken.
pub(crate) fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match poll(&mut context) {
            Poll::Ready(ready) => return ready,
            Poll::Pending => thread::park(),
        }
    }
}

/// What an owner does that has nothing else to do.
pub(crate) trait Patient: Log {
    /// Commits the open group.
    fn committed(&mut self, sync: Sync) -> Result<(), LogError> {
        let number = self.commit(sync);
        loop {
            let (told, outcome) = wait(|context| self.poll_commit(context));
            let promised = outcome? == Sync::Now || sync == Sync::Later;
            if told == number && promised {
                return Ok(());
            }
        }
    }

    /// Part of the records from a position on.
    fn scanned(&mut self, from: Position, below: Option<Position>, max: usize) -> Result<Scanned, LogError> {
        wait(|context| self.poll_scan(from, below, max, context))
    }

    /// All records, told one by one.
    fn replayed(&mut self, mut tell: impl FnMut(Position, Record<'_>)) -> Result<(), LogError> {
        let mut from = Some(Position::START);
        while let Some(position) = from {
            let Scanned { records, next } = self.scanned(position, None, 100_000)?;
            for (position, bytes) in records {
                tell(position, Record::decode(&bytes).unwrap());
            }
            from = next;
        }
        Ok(())
    }
}

impl<L: Log> Patient for L {}
