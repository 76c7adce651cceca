//! Giving disk space back: what is live in the oldest segment is copied to the newest, and the oldest is freed.
//!
//! In small steps between the requests, so that nobody waits for more than one.

use std::collections::HashSet;

use super::{Core, StoreFailed};
use crate::{
    channel::{Message, Sequence},
    log::{Cursor, Position, Record, Sync, Target, Targets},
};

/// How much of the oldest segment one step looks at: about a millisecond of copying in the worst case.
const STEP_BYTES: usize = 256 * 1024;

/// Where in the oldest segment the copying is.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    cursor: Option<Cursor>,
    /// Messages whose state was written anew on this walk: once is enough, however often it changed.
    states: HashSet<(u32, Sequence)>,
}

impl Core {
    /// One step; true when there is more to do.
    pub fn reclaim_step(&mut self) -> Result<bool, StoreFailed> {
        if self.failed || (self.reclaim.cursor.is_none() && !self.log.reclaim_wanted()) {
            return Ok(false);
        }
        let scanned = self.log.scan_oldest(self.reclaim.cursor.take(), STEP_BYTES);
        let (records, cursor) = self.survive(scanned)?;
        for (position, bytes) in records {
            let record = Record::decode(&bytes).expect("the log has checked the record");
            self.keep(position, &record)?;
        }
        self.reclaim.cursor = cursor;
        if self.reclaim.cursor.is_none() {
            self.reclaim.states.clear();
            // The copies are on disk before the originals go.
            self.commit();
            self.sync();
            if self.failed {
                return Err(StoreFailed);
            }
            let freed = self.log.free_oldest();
            self.survive(freed)?;
        }
        Ok(true)
    }

    /// Copies what is still live of a record in the oldest segment.
    fn keep(&mut self, position: Position, record: &Record<'_>) -> Result<(), StoreFailed> {
        match *record {
            Record::Push { channel, sequence, message_id, enqueued_ms, idempotency, headers, body } => {
                let mut targets = Vec::with_capacity(Target::BYTES);
                Target { channel, sequence, expires_ms: None }.encode(&mut targets);
                let as_message = Record::Message {
                    targets: Targets::new(&targets),
                    message_id,
                    enqueued_ms,
                    idempotency,
                    due_ms: None,
                    group: None,
                    moved_from: None,
                    headers,
                    body,
                };
                self.keep_message(position, &as_message)
            }
            Record::Message { .. } => self.keep_message(position, record),
            Record::Lease { channel, sequence, .. }
            | Record::Release { channel, sequence, .. }
            | Record::State { channel, sequence, .. } => self.keep_state(channel, sequence),
            Record::IdempotencyKey { .. } | Record::Key { .. } => self.keep_key(position, record),
            // A settle outlives every copy of its message without help: segments leave from the oldest end only.
            Record::Settle { .. } => Ok(()),
        }
    }

    /// Copies a message for those of its channels that still have it.
    fn keep_message(&mut self, position: Position, record: &Record<'_>) -> Result<(), StoreFailed> {
        let Record::Message { targets, .. } = *record else { return Ok(()) };
        let lives = |target: &Target| {
            let message = self.message(target.channel, target.sequence);
            message.is_some_and(|message| message.stored.position == position)
        };
        let live: Vec<Target> = targets.iter().filter(lives).collect();
        if live.is_empty() {
            return self.keep_key(position, record);
        }
        let mut bytes = Vec::with_capacity(live.len() * Target::BYTES);
        live.iter().for_each(|target| target.encode(&mut bytes));
        let mut copy = *record;
        if let Record::Message { targets, .. } = &mut copy {
            *targets = Targets::new(&bytes);
        }
        let to = self.append_copy(&copy)?;
        for Target { channel, sequence, .. } in live {
            if let Some(channel) = self.channels.get_mut(&channel) {
                channel.state.relocate(sequence, to);
            }
        }
        self.shared.relocate(position, to);
        self.log.release(position);
        if let Some((key, _)) = record.key() {
            self.idempotency.relocate(key.hash, position, to);
        }
        Ok(())
    }

    /// Writes down again what has become of a message since it was stored.
    fn keep_state(&mut self, number: u32, sequence: Sequence) -> Result<(), StoreFailed> {
        if self.message(number, sequence).is_some() && self.reclaim.states.insert((number, sequence)) {
            self.record_state(number, sequence)?;
            let _ = self.appended(Sync::Later);
        }
        Ok(())
    }

    /// Writes an idempotency key down again while its window is open, without its message.
    fn keep_key(&mut self, position: Position, record: &Record<'_>) -> Result<(), StoreFailed> {
        let now = self.clock.now();
        if let Some((idempotency, message_id)) = record.key()
            && self.idempotency.is_at(idempotency.hash, position, now)
        {
            let to = self.append_copy(&Record::Key { idempotency, message_id })?;
            self.idempotency.relocate(idempotency.hash, position, to);
        }
        Ok(())
    }

    fn append_copy(&mut self, record: &Record<'_>) -> Result<Position, StoreFailed> {
        let position = self.append_reserved(record)?;
        // Nobody waits for a copy: it is synced before the original goes.
        let _ = self.appended(Sync::Later);
        Ok(position)
    }

    fn message(&self, number: u32, sequence: Sequence) -> Option<&Message> {
        self.channels.get(&number)?.state.message(sequence)
    }
}
