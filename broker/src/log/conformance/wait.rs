//! Blocking on a log without a runtime.

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

/// Blocks until a poll is ready; polls after each wake-up.
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

/// Blocking versions of a log's operations, for tests.
pub(crate) trait BlockingLog: Log {
    fn committed(&mut self, sync: Sync) -> Result<(), LogError> {
        wait(|context| self.poll_takes_batch(context));
        let number = self.commit(sync);
        loop {
            let (committed, outcome) = wait(|context| self.poll_commit(context));
            let promised = outcome? == Sync::Now || sync == Sync::Later;
            if committed == number && promised {
                return Ok(());
            }
        }
    }

    /// The bytes of a record.
    fn fetched(&mut self, at: Position) -> Result<Bytes, LogError> {
        match self.read(at)? {
            Read::Here(bytes) => Ok(bytes),
            Read::Coming(mut coming) => wait(|context| Pin::new(&mut coming).poll(context)).unwrap(),
        }
    }

    /// A part of the records from a position on.
    fn part(&mut self, from: Position, below: Option<Position>, max: usize) -> Result<Scanned, LogError> {
        wait(|context| self.poll_scan(from, below, max, context))
    }

    /// All records from a position on, with their positions.
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

    /// Replays all records of earlier owners.
    fn replayed(&mut self, mut visit: impl FnMut(Position, &RecordHead<'_>)) -> Result<(), LogError> {
        while wait(|context| self.poll_replay(&mut visit, context))? == Replayed::Part {}
        Ok(())
    }
}

impl<L: Log> BlockingLog for L {}
