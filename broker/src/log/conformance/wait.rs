//! Waiting for a log, as its owner does, without a runtime.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use bytes::Bytes;

use crate::log::{Log, LogError, Position, Read, RecordHead, Replayed, Scanned, Sync};

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
pub(crate) trait BlockingLog: Log {
    /// Commits the open group.
    fn committed(&mut self, sync: Sync) -> Result<(), LogError> {
        wait(|context| self.poll_takes_batch(context));
        let number = self.commit(sync);
        loop {
            let (told, outcome) = wait(|context| self.poll_commit(context));
            let promised = outcome? == Sync::Now || sync == Sync::Later;
            if told == number && promised {
                return Ok(());
            }
        }
    }

    /// A record's bytes, wherever they come from.
    fn fetched(&mut self, at: Position) -> Result<Bytes, LogError> {
        match self.read(at)? {
            Read::Here(bytes) => Ok(bytes),
            Read::Coming(mut coming) => wait(|context| Pin::new(&mut coming).poll(context)).unwrap(),
        }
    }

    /// Part of the records from a position on.
    fn part(&mut self, from: Position, below: Option<Position>, max: usize) -> Result<Scanned, LogError> {
        wait(|context| self.poll_scan(from, below, max, context))
    }

    /// All records from a position on, with their places.
    fn scanned(
        &mut self,
        from: Position,
        below: Option<Position>,
    ) -> Result<Vec<(Position, Bytes)>, LogError> {
        let (mut all, mut from) = (Vec::new(), Some(from));
        while let Some(position) = from {
            let Scanned { records, next, .. } = self.part(position, below, 100_000)?;
            all.extend(records);
            from = next;
        }
        Ok(all)
    }

    /// Everything that owners before have left, told one by one.
    fn replayed(&mut self, mut visit: impl FnMut(Position, &RecordHead<'_>)) -> Result<(), LogError> {
        while wait(|context| self.poll_replay(&mut visit, context))? == Replayed::Part {}
        Ok(())
    }
}

impl<L: Log> BlockingLog for L {}
