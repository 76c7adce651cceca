//! A minimal owner of a log, a small version of the channels: it pushes and settles messages, and copies them when
//! their segment is freed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Waker},
    thread,
};

use super::older_log;
use crate::log::{
    AppendError, ChannelId, DiskLog, Log, LogError, OpenError, Options, Position, Purpose, Record,
    RemovalCause, Scanned, Sync, Target, Targets,
    conformance::{BlockingLog, wait},
    disk::{place::RecordPlace, simulated::Simulated},
};

/// Small, so that a test uses many segments.
pub(super) const SEGMENT: u64 = 64 << 10;

pub(super) struct Owner {
    pub(super) log: DiskLog<Simulated>,
    pub(super) messages: BTreeMap<u64, Position>,
    pub(super) next: u64,
}

/// The content of a message, derived from its sequence.
pub(super) fn body(sequence: u64) -> Vec<u8> {
    let length = 100 + (sequence.wrapping_mul(7919) % 3000) as usize;
    let mut body = format!("message {sequence:016} ").into_bytes();
    body.resize(length, sequence as u8);
    body
}

fn sequence_of(targets: Targets<'_>) -> u64 {
    targets.iter().next().unwrap().sequence
}

impl Owner {
    pub(super) fn open(disk: Simulated) -> Result<Self, OpenError> {
        Self::open_with(disk, SEGMENT)
    }

    /// Opens with segments of this length.
    pub(super) fn open_with(disk: Simulated, segment_bytes: u64) -> Result<Self, OpenError> {
        DiskLog::open_in(disk, Options { segment_bytes }).map(Self::of)
    }

    /// An owner of a new log that follows this older one.
    pub(super) fn open_beside(older: Simulated) -> Result<Self, OpenError> {
        let older = Arc::new(older_log(older)?);
        let disk = Simulated::default();
        DiskLog::open_after(older, disk, Options { segment_bytes: SEGMENT }).map(Self::of)
    }

    fn of(mut log: DiskLog<Simulated>) -> Self {
        let (mut messages, mut next, mut doubles) = (BTreeMap::new(), 1, Vec::new());
        let replayed = log.replayed(|position, head| match head.record {
            Record::Message { targets, .. } => {
                let sequence = sequence_of(targets);
                assert_eq!(head.content_bytes, body(sequence).len());
                doubles.extend(messages.insert(sequence, position));
                next = next.max(sequence + 1);
            }
            Record::Removed { sequence, .. } => {
                doubles.extend(messages.remove(&sequence));
                next = next.max(sequence + 1);
            }
            other => panic!("unexpected record {other:?}"),
        });
        replayed.expect("an open log can be replayed");
        doubles.into_iter().for_each(|position| log.release(position));
        Self { log, messages, next }
    }

    pub(super) fn push(&mut self) -> Result<u64, AppendError> {
        let (sequence, body) = (self.next, body(self.next));
        let mut target = Vec::new();
        Target { channel: ChannelId(1), sequence, expires_ms: None }.encode(&mut target);
        let record = Record::Message {
            targets: Targets::new(&target),
            parcel: None,
            message_id: sequence.into(),
            enqueued_ms: 0,
            idempotency: None,
            due_ms: None,
            group: None,
            moved_from: None,
            headers: &[],
            body: &body,
        };
        let position = self.log.append(&record, Purpose::Store)?;
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

    /// Frees the oldest segment, whether the log wants that or not.
    pub(super) fn reclaim(&mut self) -> Result<(), LogError> {
        self.log.committed(Sync::Now)?;
        if self.log.stats().segments < 2 {
            return Ok(());
        }
        let below = self.second_segment();
        let mut from = Some(Position::START);
        while let Some(position) = from {
            let Scanned { records, broken, next } = self.log.part(position, Some(below), 10_000)?;
            if let Some((at, _)) =
                broken.iter().find(|(at, _)| self.messages.values().any(|other| other == at))
            {
                let offset = RecordPlace::from(*at).offset;
                return Err(LogError::Damaged { file: "needed".into(), offset });
            }
            for (position, bytes) in records {
                let record = Record::decode(&bytes).unwrap();
                let Record::Message { targets, .. } = record else { continue };
                let sequence = sequence_of(targets);
                if self.messages.get(&sequence) == Some(&position) {
                    let Ok(copy) = self.log.append(&record, Purpose::Copy) else { return Ok(()) };
                    self.messages.insert(sequence, copy);
                    self.log.release(position);
                }
            }
            from = next;
        }
        self.log.committed(Sync::Now)?;
        self.free()
    }

    /// Waits until every index under way is written.
    pub(super) fn wait_for_indexes(&self) {
        let indexed = self.log.segments.values().filter(|segment| segment.is_indexed);
        for segment in indexed {
            let mut context = Context::from_waker(Waker::noop());
            // The indexing thread reads the segment until the index is written.
            while segment.file.reads.poll_over(&mut context).is_pending() {
                thread::yield_now();
            }
        }
    }

    /// The start of the second segment.
    pub(super) fn second_segment(&self) -> Position {
        RecordPlace::own(*self.log.segments.keys().nth(1).unwrap(), 0).into()
    }

    /// Frees the oldest segment. The last commit contains the last copies.
    pub(super) fn free(&mut self) -> Result<(), LogError> {
        let (below, copies) = (self.second_segment(), self.log.newest_batch);
        wait(|context| self.log.poll_free(below, copies, context))
    }

    /// Checks that every message is readable, and that the log counts the needed bytes correctly.
    pub(super) fn check(&mut self) {
        self.read_all();
        let live: u64 =
            self.messages.values().map(|position| RecordPlace::from(*position).length as u64).sum();
        assert_eq!(self.log.stats().live_bytes, live);
    }

    /// Checks that every message is readable.
    pub(super) fn read_all(&mut self) {
        for (sequence, position) in &self.messages {
            let bytes = self.log.fetched(*position).unwrap();
            let Ok(Record::Message { body: found, .. }) = Record::decode(&bytes) else {
                panic!("no message at {position:?}")
            };
            assert_eq!(found, body(*sequence));
        }
    }
}
