//! Giving disk space back: what is live in the oldest segment is copied to the newest, and the oldest is freed.
//!
//! In small steps between the requests, so that nobody waits for more than one.

use super::{Core, StoreFailed, deliver::lease_record};
use crate::{
    channel::{
        Granted,
        lease::Ended,
        state::{Message, Phase, Sequence},
    },
    log::{Cursor, Idempotency, Position, Record, Sync},
};

/// How much of the oldest segment one step looks at: about a millisecond of copying in the worst case.
const STEP_BYTES: usize = 256 * 1024;

/// Where in the oldest segment the copying is.
#[derive(Debug, Default)]
pub(super) struct Reclaim {
    cursor: Option<Cursor>,
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
            Record::Push { channel, sequence, idempotency, message_id, .. } => {
                let live = self
                    .message(channel, sequence)
                    .is_some_and(|message| message.stored.position == position);
                if live {
                    let copy = self.append_copy(record)?;
                    if let Some(channel) = self.channels.get_mut(&channel) {
                        channel.state.relocate(sequence, copy);
                    }
                    self.log.release(position);
                } else if let Some(Idempotency { hash, expires_ms }) = idempotency {
                    self.keep_key(channel, sequence, message_id, hash, expires_ms)?;
                }
            }
            Record::Lease { channel, sequence, delivery, .. }
            | Record::Release { channel, sequence, delivery, .. } => {
                if self.message(channel, sequence).is_some_and(|message| message.handouts.last == delivery) {
                    self.keep_lease(channel, sequence)?;
                }
            }
            Record::IdempotencyKey { channel, hash, message_id, sequence, expires_ms } => {
                self.keep_key(channel, sequence, message_id, hash, expires_ms)?;
            }
            // A settle outlives every copy of its message without help: segments leave from the oldest end only.
            Record::Settle { .. } => {}
        }
        Ok(())
    }

    /// Writes down again how often a message was handed out, and who has it.
    fn keep_lease(&mut self, number: u32, sequence: Sequence) -> Result<(), StoreFailed> {
        let Some(message) = self.message(number, sequence).copied() else { return Ok(()) };
        let Message { stored, handouts, phase } = message;
        if handouts.last == 0 {
            return Ok(());
        }
        // A lease that is over is written as one whose end has passed.
        let ends_at = if let Phase::Leased(ends_at) = phase { ends_at } else { 0 };
        self.append_copy(&lease_record(number, &Granted { sequence, stored, handouts, ends_at }))?;
        if phase == Phase::Ready(Some(Ended::Released)) {
            // A release that did not count is in the lease's own number of such already.
            let delivery = handouts.last;
            self.append_copy(&Record::Release { channel: number, sequence, delivery, counted: true })?;
        }
        Ok(())
    }

    /// Writes an idempotency key down again while its window is open, without its message.
    fn keep_key(
        &mut self,
        channel: u32,
        sequence: Sequence,
        message_id: u128,
        hash: u128,
        expires_ms: u64,
    ) -> Result<(), StoreFailed> {
        let now = self.clock.now();
        let current = self.idempotency.get(hash, now);
        if current.is_some_and(|answered| answered.id.as_u128() == message_id) {
            self.append_copy(&Record::IdempotencyKey { channel, hash, message_id, sequence, expires_ms })?;
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
