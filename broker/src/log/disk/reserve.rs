//! Which purposes may use how much of a log's remaining room. Pure.
//!
//! Only room that the log already has counts: the rest of its active segment, and the spares that are ready. Other
//! processes may take the free space of the volume at any moment.
//!
//! 1. Room for copying the oldest segment is reserved for the copies. While they fit, a segment can be freed, and
//!    then they fit again: copies never need more room than their segment.
//! 2. Above that is the room promised to the stored messages: each may still be leased and then settled.
//! 3. Above that, a segment is kept from pushes for leases, releases and settles, which need room until their garbage
//!    is compacted. So when they have used it up, there is always enough garbage to compact.

use super::storage::Volume;
use crate::log::Purpose;

/// Spares that pushes leave: one for the copies of a segment, and one for the records that empty the log in the
/// meantime.
pub(super) const SPARES: usize = 2;
/// Minimum of the reserve, in segments. The reserve is [`SHARE`] of the volume if that is more, but at most half of a
/// very small volume.
const SEGMENTS_MIN: u64 = 4;
/// The divisor of the volume for the reserve: a twentieth. See [`SEGMENTS_MIN`].
const SHARE: u64 = 20;
/// Maximum of the reserve, in segments: emptying takes no more on a large volume, and others may use it.
const SEGMENTS_MAX: u64 = 16;

/// Upper limit of the bytes that a new frame adds to a record: its head and its padding.
const FRAME_BYTES: u64 = 40;

const _: () = assert!(FRAME_BYTES >= super::frame::HEAD_BYTES as u64 + super::frame::ALIGNMENT);
const _: () = assert!(SPARES as u64 <= SEGMENTS_MIN);

/// The room of a log, and its reserved parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes left in the active segment.
    pub(super) active: u64,
    /// Number of ready spares.
    pub(super) ready: u64,
    /// Bytes of records that fit into a segment.
    pub(super) segment: u64,
    /// Bytes still needed for copying the oldest segment.
    pub(super) copies: u64,
    /// Bytes promised to stored messages.
    pub(super) promised: u64,
}

impl Room {
    fn total(self) -> u64 {
        self.active + self.ready * self.segment
    }

    /// The room after a record of this number of bytes, if it fits.
    fn after(self, bytes: u64) -> Option<Self> {
        let bytes = bytes + FRAME_BYTES;
        match self.active.checked_sub(bytes) {
            Some(active) => Some(Self { active, ..self }),
            None => {
                let ready = self.ready.checked_sub(1)?;
                Some(Self { active: self.segment.saturating_sub(bytes), ready, ..self })
            }
        }
    }

    /// Whether the copies of the oldest segment fit and leave this number of bytes.
    ///
    /// The copies always fit into a spare, because their records fitted into a segment before. If that segment was
    /// longer than today's, they may leave half of each spare unused.
    pub(super) fn copies_leave(self, bytes: u64) -> bool {
        let kept = if self.copies <= self.active {
            self.copies
        } else if self.copies <= self.segment && self.ready > 0 {
            self.segment
        } else if 2 * self.copies <= self.ready * self.segment {
            2 * self.copies
        } else {
            return false;
        };
        self.total() >= kept + bytes
    }

    /// Whether this number of bytes can be copied from an older log, leaving a segment for the copies of this log.
    pub(super) fn spares_hold(self, bytes: u64) -> bool {
        self.total() >= self.segment + bytes
    }

    /// Whether there is room for pushes.
    pub(super) fn is_ample(self) -> bool {
        self.total() >= SPARES as u64 * self.segment + self.promised && self.copies_leave(self.promised)
    }

    /// The number of ready spares required for pushes. The promised bytes require some as well.
    pub(super) fn spares_kept(promised: u64, segment: u64) -> usize {
        SPARES + promised.div_ceil(segment.max(1)) as usize
    }
}

/// Whether a record of this number of bytes may be appended for a purpose.
pub(super) fn admits(room: Room, purpose: Purpose, bytes: u64) -> bool {
    let Some(after) = room.after(bytes) else { return false };
    match purpose {
        Purpose::Store => after.is_ample(),
        Purpose::Change if room.copies_leave(0) => after.copies_leave(room.promised),
        // No segment can be freed by copying. The promised room is kept for settles; after those nothing has to be
        // copied.
        Purpose::Change => after.total() >= room.promised,
        Purpose::Settle => after.copies_leave(0) || !room.copies_leave(0),
        Purpose::Copy => true,
    }
}

/// Whether pushes leave enough of a volume on which this log has `held` bytes in spares. They do not use the last bytes
/// of a volume even if these are free, because others need some as well.
pub(super) fn leaves_enough(volume: Volume, held: u64, segment: u64) -> bool {
    held + volume.available >= reserve_bytes(volume, segment) + segment
}

/// The reserve, counted in spares and in free space of the volume.
fn reserve_bytes(volume: Volume, segment: u64) -> u64 {
    (volume.total / SHARE).clamp(SEGMENTS_MIN * segment, SEGMENTS_MAX * segment).min(volume.total / 2)
}

/// How full a volume is, from 0 to 1.
pub(super) fn fill(volume: Volume) -> f64 {
    1.0 - (volume.available as f64 / volume.total.max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: u64 = 61;
    const ROOM: Room = Room { active: 500, ready: 2, segment: 1000, copies: 900, promised: 0 };

    fn admitted(room: Room) -> Vec<Purpose> {
        let all = [Purpose::Store, Purpose::Change, Purpose::Settle, Purpose::Copy];
        all.into_iter().filter(|purpose| admits(room, *purpose, LITTLE)).collect()
    }

    #[test]
    fn pushes_leave_two_spares_and_changes_and_settles_one_until_there_is_nothing_to_copy() {
        use Purpose::{Change, Copy, Settle, Store};
        assert_eq!(admitted(ROOM), [Store, Change, Settle, Copy]);
        assert_eq!(admitted(Room { active: 99, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { ready: 1, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(
            admitted(Room { ready: 1, active: 99, ..ROOM }),
            [Copy],
            "no room is left beside the copies"
        );
        assert_eq!(admitted(Room { ready: 1, active: 99, copies: 0, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { ready: 0, active: 99, ..ROOM }), []);
    }

    #[test]
    fn promised_room_is_for_settles() {
        use Purpose::{Change, Copy, Settle};
        let promised = Room { ready: 1, promised: 300, ..ROOM };
        assert_eq!(admitted(promised), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { active: 399, ..promised }), [Settle, Copy]);
    }

    #[test]
    fn if_the_copies_do_not_fit_settles_use_all_room() {
        use Purpose::{Change, Copy, Settle};
        assert_eq!(admitted(Room { ready: 0, active: 200, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { ready: 0, active: 200, promised: 150, ..ROOM }), [Settle, Copy]);
    }

    #[test]
    fn the_copies_of_a_longer_segment_need_twice_their_room() {
        let longer = Room { copies: 1500, ready: 3, ..ROOM };
        assert!(longer.copies_leave(500) && !longer.copies_leave(501));
        assert!(!Room { ready: 2, ..longer }.copies_leave(0));
    }

    #[test]
    fn the_reserve_is_a_twentieth_of_the_volume_in_spares_and_free_space() {
        // 50 bytes, and the segment that the push uses.
        let of = |available| leaves_enough(Volume { total: 1000, available }, 30, 10);
        assert!(of(30) && !of(29));
    }

    #[test]
    fn the_reserve_is_four_segments_of_a_small_volume_and_at_most_sixteen_of_a_large_one() {
        let of = |total, available| leaves_enough(Volume { total, available }, 30, 10);
        assert!(of(100, 20) && !of(100, 19));
        assert!(of(60, 10) && !of(60, 9), "half of a very small volume");
        assert!(of(1 << 40, 140) && !of(1 << 40, 139));
    }

    #[test]
    fn a_volume_fills_from_zero_to_one() {
        assert_eq!(fill(Volume { total: 100, available: 100 }), 0.0);
        assert_eq!(fill(Volume { total: 100, available: 25 }), 0.75);
        assert_eq!(fill(Volume { total: 0, available: 0 }), 1.0);
    }
}
