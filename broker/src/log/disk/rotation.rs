//! Rotation: continuing in another segment, which is ready.

use std::task::{Context, Poll};

use super::{
    DiskLog, Purpose, Segment,
    reserve::{self, Room},
    segment::{self, Head},
    storage::Storage,
};
use crate::log::{AppendError, Log};

/// Bytes of an idempotency key that is copied without its message.
const KEY_BYTES: u64 = 65;
/// Bytes that copies need for their frames: few, because many copies share one frame.
const FRAMES_BYTES: u64 = 1024;

impl<S: Storage> DiskLog<S> {
    /// Continues the open batch in a new segment, whose head is written by the commit.
    ///
    /// If few spares are left and another one is being made, the batch waits for that in memory. It could continue,
    /// because it has its segment. But waiting slows pushes down to the speed of the disk before they are refused.
    pub(super) fn rotate(&mut self) -> Result<(), AppendError> {
        // The batch's frame in the old segment, if there is one, has the number before. The other fields are known at
        // the commit.
        let head = Head {
            epoch: self.batch.epoch() + 1,
            first_frame: self.next_frame + self.batch.frames(),
            mark: 0,
            bytes: 0,
            log: 0,
        };
        let file = self.spares.take().ok_or(AppendError::Full)?;
        self.segments.insert(head.epoch, Segment::new(file, head, segment::HEAD_BYTES));
        self.batch.rotate(head.epoch);
        Ok(())
    }

    /// The current room, and its reserved parts.
    pub(crate) fn room(&self) -> Room {
        let segment = self.longest_record();
        let copies = self.copies();
        let (_, oldest) = self.segments.first_key_value().expect("a log always has a segment");
        Room {
            active: self.active_bytes().saturating_sub(self.batch.end()),
            ready: self.spares.len() as u64,
            segment,
            // Records that fitted into a segment fit again.
            copies: if oldest.file.bytes <= self.segment_bytes { copies.min(segment) } else { copies },
            promised: self.promised,
        }
    }

    /// Bytes still needed for copying the oldest segment: at most its length.
    pub(super) fn copies(&self) -> u64 {
        let (epoch, oldest) = self.segments.first_key_value().expect("a log always has a segment");
        let needed = (oldest.live + oldest.keys * KEY_BYTES).saturating_sub(self.keys_copied);
        if needed == 0 {
            return 0;
        }
        let written = if self.is_sealed(*epoch) { oldest.end } else { oldest.file.bytes };
        (needed + FRAMES_BYTES).min(written.saturating_sub(segment::HEAD_BYTES))
    }

    /// Whether a record may be appended for a purpose.
    pub(super) fn admits(&mut self, purpose: Purpose, bytes: usize) -> bool {
        // A scan of older logs frees nothing of this one.
        let purpose = if purpose == Purpose::Copy && self.walks_older { Purpose::Settle } else { purpose };
        if self.admits_now(purpose, bytes) {
            return true;
        }
        self.spares.collect();
        self.admits_now(purpose, bytes) || {
            self.spares.refuse();
            false
        }
    }

    fn admits_now(&mut self, purpose: Purpose, bytes: usize) -> bool {
        let rotates = !self.batch.has_room(bytes, self.active_bytes());
        let room = self.room();
        // A record that does not fit leaves the rest of the active segment unused.
        let room = if rotates { Room { active: 0, ..room } } else { room };
        reserve::admits(room, purpose, bytes as u64)
            && (purpose != Purpose::Store || !rotates || self.spares.leave_enough())
    }

    /// Whether pushes are refused, because the remaining room is reserved for records that empty the log.
    pub(super) fn is_disk_full(&self) -> bool {
        !(self.spares.wait_for_more() || (self.room().is_ample() && self.spares.leave_enough()))
    }

    /// Whether the log's own room is too small for pushes, whatever the volume has.
    pub(super) fn is_below_reserve(&self) -> bool {
        !(self.spares.wait_for_more() || self.room().is_ample())
    }

    /// Ready when enough spares are ready, or no more are coming.
    pub(super) fn poll_spares(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.batch.has_rotated() { self.spares.poll_enough(context) } else { Poll::Ready(()) }
    }
}
