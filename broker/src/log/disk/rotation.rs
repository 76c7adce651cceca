//! Going on in another segment, which is there already.

use std::task::{Context, Poll};

use super::{
    DiskLog, Purpose, Segment,
    reserve::{self, Room},
    segment::{self, Head},
    storage::Storage,
};
use crate::log::{AppendError, Log};

/// Bytes that a key takes when it is copied without its message.
const KEY_BYTES: u64 = 65;
/// What the frames of copies take beside them: few, because many copies are written at once.
const FRAMES_BYTES: u64 = 1024;

impl<S: Storage> DiskLog<S> {
    /// The rest of the group goes to a new segment. Its head is written when the group is committed.
    ///
    /// If few spares are left and another is being made, the group waits for that in memory. It need not: it has its segment.
    /// But so pushes slow down to what the disk can make before they are refused.
    pub(super) fn rotate(&mut self) -> Result<(), AppendError> {
        // The frame in the old segment, if there is one, has the number before. The rest is known when the head is written.
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

    /// The room that there is, and what it is kept for.
    pub(crate) fn room(&self) -> Room {
        let segment = self.longest_record();
        let copies = self.copies();
        let (_, oldest) = self.segments.first_key_value().expect("a log always has a segment");
        Room {
            active: self.active_bytes().saturating_sub(self.batch.end()),
            ready: self.spares.len() as u64,
            segment,
            // What fitted a segment fits one again.
            copies: if oldest.file.bytes <= self.segment_bytes { copies.min(segment) } else { copies },
            promised: self.promised,
        }
    }

    /// Bytes that copying the oldest segment still takes: never more than what it has.
    pub(super) fn copies(&self) -> u64 {
        let (epoch, oldest) = self.segments.first_key_value().expect("a log always has a segment");
        let needed = (oldest.live + oldest.keys * KEY_BYTES).saturating_sub(self.keys_copied);
        if needed == 0 {
            return 0;
        }
        let written = if self.is_sealed(*epoch) { oldest.end } else { oldest.file.bytes };
        (needed + FRAMES_BYTES).min(written.saturating_sub(segment::HEAD_BYTES))
    }

    /// Whether a record may be appended for a purpose, and where it may lie.
    pub(super) fn admits(&mut self, purpose: Purpose, bytes: usize) -> bool {
        // A walk through older logs frees nothing of this one.
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
        // What does not fit any more leaves the rest of its segment free.
        let room = if rotates { Room { active: 0, ..room } } else { room };
        reserve::admits(room, purpose, bytes as u64)
            && (purpose != Purpose::Store || !rotates || self.spares.leave_enough())
    }

    /// Whether pushes are refused, because the rest is for what empties the log.
    pub(super) fn is_scarce(&self) -> bool {
        !(self.spares.wait_for_more() || (self.room().is_ample() && self.spares.leave_enough()))
    }

    /// Whether pushes are refused whatever the volume has: the log itself holds too little.
    pub(super) fn is_tight(&self) -> bool {
        !(self.spares.wait_for_more() || self.room().is_ample())
    }

    /// Ready when enough spares are there, or no more will be.
    pub(super) fn poll_spares(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.batch.has_rotated() { self.spares.poll_enough(context) } else { Poll::Ready(()) }
    }
}
