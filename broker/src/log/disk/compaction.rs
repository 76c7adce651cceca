//! When the oldest segment is worth freeing. Pure.

/// Segments beyond which a log that is mostly dead is made smaller: the active one, the reserve, and one to copy into.
const SLACK_SEGMENTS: u64 = 4;

/// A segment of which so small a part is live goes whatever lies behind it: it costs next to nothing, and one old record
/// would otherwise keep all segments after it, however dead, until most of a deep queue is read. So the log would take new
/// blocks of the disk, and write them with zeros first, while old ones wait to be written over.
const NEARLY_DEAD: u64 = 64;

/// Of a segment that is kept for leases and settles, the part that is worth going through the whole log for: the smaller, the
/// more is copied for each lease on a full disk; the larger, the less of what is kept can be used.
const GAIN_SHARE: u64 = 4;

/// What the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogUsage {
    /// Bytes of all segments in use.
    pub(super) total: u64,
    /// Bytes of all frames in them.
    pub(super) used: u64,
    /// Bytes of records that are still needed.
    pub(super) live: u64,
    /// The same, in the oldest segment.
    pub(super) oldest_live: u64,
    /// Bytes of one segment.
    pub(super) segment: u64,
    /// Whether what is copied of the oldest segment has room.
    pub(super) fits: bool,
    /// Whether the oldest segment is sealed: nothing will be appended to it.
    pub(super) sealed: bool,
    /// Whether the disk is full and pushes are refused.
    pub(super) scarce: bool,
    /// Whether the log holds less than it keeps from pushes.
    pub(super) tight: bool,
    /// How full the volume is, from 0 to 1.
    pub(super) fill: f64,
}

/// Whether the oldest segment should be freed now.
///
/// At once when nothing in it is live; by copying when [hardly](NEARLY_DEAD) anything in it is, or when less of the log is live
/// than [`worth`] says; and on a full disk already when a segment can be won by going through all of them, for otherwise one
/// old message would keep a full disk full for ever. When leases and settles have taken of what is kept for them, a
/// [part](GAIN_SHARE) of a segment is enough: they go on with that. What segments leave free at their ends is not counted there: it
/// cannot be won, as the copies would leave it free again.
///
/// Else the whole log is looked at, and not the one segment: segments leave in their order, so that one that is all live stands
/// before others that are all dead; and the oldest of a deep queue is hardly live just before its receivers are done with
/// it, when copying what is left would be for nothing.
pub(super) fn wanted(usage: LogUsage) -> bool {
    let LogUsage { total, used, live, oldest_live, segment, fits, sealed, scarce, tight, fill } = usage;
    let worth_it = total.saturating_sub(SLACK_SEGMENTS * segment) as f64 * worth(fill) > live as f64;
    let hardly = oldest_live <= segment / NEARLY_DEAD;
    let garbage = used.saturating_sub(live);
    let wins = (scarce && garbage > segment) || (tight && garbage > segment / GAIN_SHARE);
    sealed && fits && (worth_it || hardly || wins)
}

/// The share of a log that is live below which copying pays, on a volume that is so full: a quarter on one that is half
/// empty, where each byte that is won costs a third of one that is copied; nine tenths on one that is nine tenths full.
fn worth(fill: f64) -> f64 {
    let (empty, full) = ((0.5, 0.25), (0.9, 0.9));
    let risen = ((fill - empty.0) / (full.0 - empty.0)).clamp(0.0, 1.0);
    empty.1 + risen * (full.1 - empty.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOSTLY_LIVE: LogUsage = LogUsage {
        total: 1000,
        used: 790,
        live: 700,
        oldest_live: 50,
        segment: 100,
        fits: true,
        sealed: true,
        scarce: false,
        tight: false,
        fill: 0.0,
    };

    #[test]
    fn a_dead_segment_goes_at_once_and_a_live_one_when_most_is_dead() {
        assert!(!wanted(MOSTLY_LIVE));
        assert!(wanted(LogUsage { oldest_live: 0, ..MOSTLY_LIVE }));
        assert!(wanted(LogUsage { live: 149, ..MOSTLY_LIVE }));
        assert!(!wanted(LogUsage { live: 150, ..MOSTLY_LIVE }));
    }

    #[test]
    fn a_few_old_records_do_not_keep_the_segments_behind_them() {
        let segment = 64 * 20;
        let deep = LogUsage { oldest_live: 20, segment, ..MOSTLY_LIVE };
        assert!(wanted(deep));
        assert!(!wanted(LogUsage { oldest_live: 21, ..deep }));
    }

    #[test]
    fn the_fuller_the_volume_the_more_is_copied() {
        assert_eq!((worth(0.0), worth(0.5), worth(0.9), worth(1.0)), (0.25, 0.25, 0.9, 0.9));
        assert!((worth(0.7) - 0.575).abs() < 1e-9);
        let half = LogUsage { live: 300, ..MOSTLY_LIVE };
        assert!(!wanted(LogUsage { fill: 0.6, ..half }) && wanted(LogUsage { fill: 0.8, ..half }));
    }

    #[test]
    fn a_segment_that_is_still_appended_to_stays() {
        assert!(!wanted(LogUsage { oldest_live: 0, sealed: false, ..MOSTLY_LIVE }));
        assert!(!wanted(LogUsage { live: 149, sealed: false, ..MOSTLY_LIVE }));
    }

    #[test]
    fn a_full_disk_is_emptied_as_soon_as_a_segment_can_be_won() {
        let full = LogUsage { scarce: true, ..MOSTLY_LIVE };
        assert!(!wanted(full), "less than a segment can be won");
        assert!(wanted(LogUsage { live: 689, ..full }));
        assert!(!wanted(LogUsage { live: 689, scarce: false, ..full }));
    }

    #[test]
    fn leases_and_settles_get_back_what_they_have_taken() {
        let full = LogUsage { scarce: true, tight: true, ..MOSTLY_LIVE };
        assert!(wanted(LogUsage { live: 764, ..full }) && !wanted(LogUsage { live: 765, ..full }));
    }

    #[test]
    fn a_segment_is_not_copied_when_the_copies_have_no_room() {
        let dead = LogUsage { live: 149, oldest_live: 100, ..MOSTLY_LIVE };
        assert!(wanted(dead) && !wanted(LogUsage { fits: false, ..dead }));
    }
}
