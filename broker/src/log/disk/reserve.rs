//! Who may take which part of the last room of a log. Pure.
//!
//! Only what the log holds counts: the rest of its active segment, and the spares that are ready. What is free on the volume
//! beside that, others may take at any moment.
//!
//! 1. Room for copying the oldest segment belongs to the copies. As long as they fit, a segment can be given back, and then
//!    they fit again: copies never take more room than the segment that they come from.
//! 2. Above that lies what was promised to the messages that are there: each may be leased and then settled.
//! 3. Above that a segment is kept from pushes for leases, releases and settles, which take room until their garbage is
//!    compacted away. So there is always enough garbage to compact when they have used it up.

use super::storage::Volume;
use crate::log::Purpose;

/// Spares that pushes leave: one for the copies of a segment, and one for what empties the log until they are made.
pub(super) const SPARES: usize = 2;
/// The reserve is so many segments, or [`SHARE`] of the volume if that is more; but no more than half of a very small one.
const SEGMENTS_MIN: u64 = 4;
/// See [`SEGMENTS_MIN`]: a twentieth.
const SHARE: u64 = 20;
/// And never more: emptying takes no more of a large volume than of a small one, and others may live there.
const SEGMENTS_MAX: u64 = 16;

/// What the next group's frame may add to a record: its head, and what fills it up.
const FRAME_BYTES: u64 = 40;

const _: () = assert!(FRAME_BYTES >= super::frame::HEAD_BYTES as u64 + super::frame::ALIGNMENT);
const _: () = assert!(SPARES as u64 <= SEGMENTS_MIN);

/// The room that a log holds, and what it is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that are left in the segment that the log goes on in.
    pub(super) active: u64,
    /// Spares that are ready.
    pub(super) ready: u64,
    /// Bytes of records that a segment takes.
    pub(super) segment: u64,
    /// Bytes that copying the oldest segment still takes.
    pub(super) copies: u64,
    /// Bytes that were promised to what is stored.
    pub(super) promised: u64,
}

impl Room {
    fn total(self) -> u64 {
        self.active + self.ready * self.segment
    }

    /// The room once a record of so many bytes is in it, if it fits.
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

    /// Whether the copies of the oldest segment fit and leave so much.
    ///
    /// They fit a spare whatever their sizes, because they fitted a segment before. Those of a segment that is longer than
    /// today's may leave half of each spare free.
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

    /// Whether so much can be copied out of an older log and leave a segment for the copies of this one.
    pub(super) fn spares_hold(self, bytes: u64) -> bool {
        self.total() >= self.segment + bytes
    }

    /// Whether pushes may go on.
    pub(super) fn is_ample(self) -> bool {
        self.total() >= SPARES as u64 * self.segment + self.promised && self.copies_leave(self.promised)
    }

    /// Spares that have to be ready so that pushes may go on: what is promised takes some as well.
    pub(super) fn spares_kept(promised: u64, segment: u64) -> usize {
        SPARES + promised.div_ceil(segment.max(1)) as usize
    }
}

/// Whether a record of so many bytes may be appended for a purpose.
pub(super) fn admits(room: Room, purpose: Purpose, bytes: u64) -> bool {
    let Some(after) = room.after(bytes) else { return false };
    match purpose {
        Purpose::Store => after.is_ample(),
        Purpose::Change if room.copies_leave(0) => after.copies_leave(room.promised),
        // Nothing can be given back by copying: what is promised stays for settles, after which nothing has to be copied.
        Purpose::Change => after.total() >= room.promised,
        Purpose::Settle => after.copies_leave(0) || !room.copies_leave(0),
        Purpose::Copy => true,
    }
}

/// Whether pushes leave enough of a volume that has so much in spares: they do not take the last of it, although it may be
/// there, so that others on it have some as well.
pub(super) fn leaves_enough(volume: Volume, held: u64, segment: u64) -> bool {
    held + volume.available >= reserve_bytes(volume, segment) + segment
}

/// The reserve, in spares and in what the volume still has.
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
    fn pushes_leave_two_spares_then_changes_leave_one_and_settles_do_as_well_until_nothing_is_to_be_copied() {
        use Purpose::{Change, Copy, Settle, Store};
        assert_eq!(admitted(ROOM), [Store, Change, Settle, Copy]);
        assert_eq!(admitted(Room { active: 99, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { ready: 1, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(
            admitted(Room { ready: 1, active: 99, ..ROOM }),
            [Copy],
            "nothing is left beside the copies"
        );
        assert_eq!(admitted(Room { ready: 1, active: 99, copies: 0, ..ROOM }), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { ready: 0, active: 99, ..ROOM }), []);
    }

    #[test]
    fn what_is_promised_is_for_settles() {
        use Purpose::{Change, Copy, Settle};
        let promised = Room { ready: 1, promised: 300, ..ROOM };
        assert_eq!(admitted(promised), [Change, Settle, Copy]);
        assert_eq!(admitted(Room { active: 399, ..promised }), [Settle, Copy]);
    }

    #[test]
    fn when_copies_do_not_fit_settles_take_what_there_is() {
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
    fn a_twentieth_of_the_volume_is_kept_in_spares_and_free_space() {
        // 50 bytes, and the segment that is taken.
        let of = |available| leaves_enough(Volume { total: 1000, available }, 30, 10);
        assert!(of(30) && !of(29));
    }

    #[test]
    fn four_segments_are_kept_of_a_small_volume_and_sixteen_at_most_of_a_large_one() {
        let of = |total, available| leaves_enough(Volume { total, available }, 30, 10);
        assert!(of(100, 20) && !of(100, 19));
        assert!(of(60, 10) && !of(60, 9), "half of a volume of so few");
        assert!(of(1 << 40, 140) && !of(1 << 40, 139));
    }

    #[test]
    fn a_volume_fills_from_none_to_all() {
        assert_eq!(fill(Volume { total: 100, available: 100 }), 0.0);
        assert_eq!(fill(Volume { total: 100, available: 25 }), 0.75);
        assert_eq!(fill(Volume { total: 0, available: 0 }), 1.0);
    }
}
