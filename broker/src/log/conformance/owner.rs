//! A minimal owner of a log, a small version of the channels: it pushes and settles messages, and copies them when
//! their part of the log is freed.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Context, Poll, Waker},
};

use super::{BlockingLog, wait};
use crate::log::{
    AppendError, BatchNumber, ChannelId, EncodedTarget, Log, LogError, Position, Purpose, Record,
    RemovalCause, Sync,
};

pub(super) struct Owner<L> {
    pub(super) log: L,
    pub(super) messages: BTreeMap<u64, Position>,
    pub(super) next: u64,
    in_flight: usize,
    /// Batches that were returned as written.
    written: BTreeSet<BatchNumber>,
}

/// The content of a message, derived from its sequence.
fn body(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; (sequence.wrapping_mul(7919) % 3000) as usize]
}

impl<L: Log> Owner<L> {
    pub(super) fn new(mut log: L) -> Self {
        let (mut messages, mut next, mut gone) = (BTreeMap::new(), 1, Vec::new());
        let replayed = log.replayed(|position, head| match head.record {
            Record::Message { targets, headers, body: none, .. } => {
                let sequence = targets.first().sequence;
                assert!(headers.is_empty() && none.is_empty(), "a replay leaves contents out");
                assert_eq!(head.content_bytes, body(sequence).len());
                gone.extend(messages.insert(sequence, position));
                next = next.max(sequence + 1);
            }
            Record::Removed { sequence, .. } => {
                gone.extend(messages.remove(&sequence));
                next = next.max(sequence + 1);
            }
            other => panic!("unexpected record {other:?}"),
        });
        replayed.unwrap();
        gone.into_iter().for_each(|position| log.release(position));
        Self { log, messages, next, in_flight: 0, written: BTreeSet::new() }
    }

    pub(super) fn push(&mut self) -> Result<u64, AppendError> {
        let (sequence, body) = (self.next, body(self.next));
        let target = EncodedTarget::of(ChannelId(1), sequence);
        let position = self.log.append(&target.message(&body), Purpose::Store)?;
        self.messages.insert(sequence, position);
        self.next += 1;
        Ok(sequence)
    }

    pub(super) fn settle(&mut self, sequence: u64) -> Result<(), AppendError> {
        self.log.append(
            &Record::Removed { channel: ChannelId(1), sequence, cause: RemovalCause::Settled },
            Purpose::Settle,
        )?;
        let position = self.messages.remove(&sequence).unwrap();
        self.log.release(position);
        Ok(())
    }

    /// Frees all parts that are worth it.
    pub(super) fn reclaim(&mut self) {
        while let Some(below) = self.log.reclaim_wanted().map(|part| part.end) {
            let mut from = Some(Position::START);
            while let Some(position) = from {
                let scanned = self.log.part(position, Some(below), 10_000).unwrap();
                for (position, bytes) in scanned.records {
                    assert!(position < below);
                    let record = Record::decode(&bytes).unwrap();
                    let Record::Message { targets, .. } = record else { continue };
                    let sequence = targets.first().sequence;
                    if self.messages.get(&sequence) == Some(&position) {
                        let copy = self.log.append(&record, Purpose::Copy).unwrap();
                        self.messages.insert(sequence, copy);
                        self.log.release(position);
                    }
                }
                from = scanned.next;
            }
            let copies = self.commit();
            wait(|context| self.log.poll_free(below, copies, context)).unwrap();
        }
    }

    /// Starts to commit the open batch, which the log must accept.
    pub(super) fn begin(&mut self) -> BatchNumber {
        self.in_flight += 1;
        self.log.commit(Sync::Now)
    }

    /// The next batch in flight that is committed or failed, if a single poll returns one.
    pub(super) fn poll_outcome(&mut self) -> Option<(BatchNumber, Result<(), LogError>)> {
        match self.log.poll_commit(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((number, Ok(Sync::Later))) => {
                assert!(self.written.insert(number), "returned once");
                None
            }
            Poll::Ready((number, outcome)) => Some((self.ended(number), outcome.map(drop))),
            Poll::Pending => None,
        }
    }

    pub(super) fn has_batches_in_flight(&self) -> bool {
        self.in_flight > 0
    }

    /// Waits for the next batch in flight that is committed or failed.
    pub(super) fn next_outcome(&mut self) -> (BatchNumber, Result<(), LogError>) {
        loop {
            let (number, outcome) = wait(|context| self.log.poll_commit(context));
            match outcome {
                Ok(Sync::Later) => assert!(self.written.insert(number), "returned once"),
                Ok(Sync::Now) => return (self.ended(number), Ok(())),
                Err(error) => return (self.ended(number), Err(error)),
            }
        }
    }

    fn ended(&mut self, number: BatchNumber) -> BatchNumber {
        self.in_flight -= 1;
        number
    }

    /// Waits until the log accepts another batch. Returns the outcomes in the meantime.
    pub(super) fn make_way(&mut self) -> Vec<(BatchNumber, Result<(), LogError>)> {
        let mut ended = Vec::new();
        loop {
            let news = wait(|context| {
                let makes_way = self.log.poll_takes_batch(context).map(|()| None);
                if makes_way.is_ready() { makes_way } else { self.log.poll_commit(context).map(Some) }
            });
            let Some((number, outcome)) = news else { return ended };
            match outcome {
                Ok(Sync::Later) => assert!(self.written.insert(number), "returned once"),
                Ok(Sync::Now) => ended.push((self.ended(number), Ok(()))),
                Err(error) => ended.push((self.ended(number), Err(error))),
            }
        }
    }

    pub(super) fn commit(&mut self) -> BatchNumber {
        self.make_way().into_iter().for_each(|(_, outcome)| outcome.unwrap());
        let number = self.begin();
        while self.in_flight > 0 {
            self.next_outcome().1.unwrap();
        }
        number
    }

    /// Checks that every message is readable, and that the log counts the needed bytes correctly.
    pub(super) fn check(&mut self) {
        let mut live = 0;
        for (sequence, position) in &self.messages {
            let bytes = self.log.fetched(*position).unwrap();
            let Ok(Record::Message { body: found, .. }) = Record::decode(&bytes) else {
                panic!("no message at {position:?}")
            };
            assert_eq!(found, body(*sequence));
            live += bytes.len() as u64;
        }
        assert_eq!(self.log.stats().live_bytes, live);
    }
}
