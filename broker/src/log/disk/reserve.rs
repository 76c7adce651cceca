//! What pushes leave of the disk: room for all that empties the log, which is settles, leases and copies. Pure.

use super::storage::Volume;

/// Spares that pushes leave on a disk that is known to be full: room that nobody else on the volume can take, enough for a
/// million settles and a segment's copies at once.
pub(super) const SPARES: usize = 2;
/// Spares that pushes leave while another is being made. Fewer, so that a burst goes on meanwhile.
const SPARES_WHILE_ONE_IS_MADE: usize = 1;
/// The reserve is so many segments, or [`SHARE`] of the volume if that is more.
const SEGMENTS_MIN: u64 = 4;
/// See [`SEGMENTS_MIN`]: a twentieth.
const SHARE: u64 = 20;
/// And never more: emptying takes no more of a large volume than of a small one, and others may live there.
const SEGMENTS_MAX: u64 = 16;

const _: () = assert!(SPARES_WHILE_ONE_IS_MADE < SPARES && SPARES as u64 <= SEGMENTS_MIN);

/// What the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Spares that are ready.
    pub(super) ready: usize,
    /// Whether another can be expected: the disk did not say that it is full.
    pub(super) more: bool,
    /// Bytes of one.
    pub(super) segment: u64,
    /// The volume, as it was when it was last looked at.
    pub(super) volume: Option<Volume>,
}

/// Whether a push may take a spare.
pub(super) fn leaves_enough(room: Room) -> bool {
    let Room { ready, more, segment, volume } = room;
    let kept = if more { SPARES_WHILE_ONE_IS_MADE } else { SPARES };
    let has_bytes = volume.is_none_or(|volume| {
        let held = ready as u64 * segment + volume.available;
        held >= reserve_bytes(volume, segment) + segment
    });
    ready > kept && has_bytes
}

/// The reserve, in spares and in what the volume still has.
fn reserve_bytes(volume: Volume, segment: u64) -> u64 {
    (volume.total / SHARE).clamp(SEGMENTS_MIN * segment, SEGMENTS_MAX * segment)
}

/// How full a volume is, from 0 to 1.
pub(super) fn fill(volume: Volume) -> f64 {
    1.0 - (volume.available as f64 / volume.total.max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(ready: usize, more: bool, available: u64) -> Room {
        Room { ready, more, segment: 10, volume: Some(Volume { total: 1000, available }) }
    }

    #[test]
    fn a_full_disk_keeps_two_spares_and_one_that_may_have_more_keeps_one() {
        assert!(leaves_enough(room(3, false, 100)) && !leaves_enough(room(2, false, 100)));
        assert!(leaves_enough(room(2, true, 100)) && !leaves_enough(room(1, true, 100)));
    }

    #[test]
    fn a_twentieth_of_the_volume_is_kept_in_spares_and_free_space() {
        // 50 bytes, and the segment that is taken.
        assert!(leaves_enough(room(3, true, 30)));
        assert!(!leaves_enough(room(3, true, 29)));
    }

    #[test]
    fn four_segments_are_kept_of_a_small_volume_and_sixteen_at_most_of_a_large_one() {
        let of = |total, available| Room { volume: Some(Volume { total, available }), ..room(3, true, 0) };
        assert!(leaves_enough(of(100, 20)) && !leaves_enough(of(100, 19)));
        assert!(leaves_enough(of(1 << 40, 140)) && !leaves_enough(of(1 << 40, 139)));
    }

    #[test]
    fn a_volume_that_says_nothing_of_itself_is_taken_for_one_with_room() {
        assert!(leaves_enough(Room { volume: None, ..room(3, false, 0) }));
    }

    #[test]
    fn a_volume_fills_from_none_to_all() {
        assert_eq!(fill(Volume { total: 100, available: 100 }), 0.0);
        assert_eq!(fill(Volume { total: 100, available: 25 }), 0.75);
        assert_eq!(fill(Volume { total: 0, available: 0 }), 1.0);
    }
}
