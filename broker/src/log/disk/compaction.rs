//! When to free the oldest segment. Pure.

/// Segments of a log that is not compacted for its size: the active one, the reserve, and one for copies.
const SLACK_SEGMENTS: u64 = 4;

/// A segment with at most this part of live bytes is freed in any case, because that costs next to nothing. Otherwise
/// one old record would keep all later segments, even dead ones, until most of a deep queue is read. Meanwhile the log
/// would allocate and zero new blocks, although old ones could be reused.
const NEARLY_DEAD: u64 = 64;

/// The part of a reserved segment that is worth a scan of the whole log. A smaller part means more copying per lease on
/// a full disk; a larger part means that less of the reserve can be used.
const GAIN_SHARE: u64 = 4;

/// The inputs of the decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LogUsage {
    /// Bytes of all segments in use.
    pub(super) total: u64,
    /// Bytes of all frames in them.
    pub(super) used: u64,
    /// Bytes of all records that are still needed.
    pub(super) live: u64,
    /// Bytes of needed records in the oldest segment.
    pub(super) oldest_live: u64,
    /// Bytes of one segment.
    pub(super) segment: u64,
    /// Whether there is room for the copies from the oldest segment.
    pub(super) fits: bool,
    /// Whether the oldest segment is sealed: nothing more will be appended to it.
    pub(super) sealed: bool,
    /// Whether the disk is full and pushes are refused.
    pub(super) disk_is_full: bool,
    /// Whether the log's own room, without the rest of the volume, is below its reserve for leases and settles.
    pub(super) below_reserve: bool,
    /// How full the volume is, from 0 to 1.
    pub(super) fill: f64,
}

/// Whether to free the oldest segment now.
///
/// It is freed at once if nothing in it is live. By copying, it is freed if [hardly anything](NEARLY_DEAD) in it is
/// live, or if less of the log is live than [`worth`] demands. On a full disk it is freed as soon as compacting the log
/// would gain a segment; otherwise one old message would keep a full disk full forever. When leases and settles have
/// used some of their reserve, a [part](GAIN_SHARE) of a segment is enough, because they continue with that. Unused
/// space at the ends of segments does not count: the copies would leave it unused again.
///
/// In the other cases the decision depends on the whole log, not on one segment. Segments are freed in order, so a
/// segment that is completely live can precede others that are dead. And the oldest segment of a deep queue is hardly
/// live just before its receivers finish it, when copying the rest would be wasted.
pub(super) fn wanted(usage: LogUsage) -> bool {
    let LogUsage { total, used, live, oldest_live, segment, fits, sealed, disk_is_full, below_reserve, fill } =
        usage;
    let worth_it = total.saturating_sub(SLACK_SEGMENTS * segment) as f64 * worth(fill) > live as f64;
    let is_nearly_dead = oldest_live <= segment / NEARLY_DEAD;
    let garbage = used.saturating_sub(live);
    let gains_room = (disk_is_full && garbage > segment) || (below_reserve && garbage > segment / GAIN_SHARE);
    sealed && fits && (worth_it || is_nearly_dead || gains_room)
}

/// The live share of the log below which copying pays, by how full the volume is. At half full it is a quarter: each
/// byte gained costs a third of a byte copied. At nine tenths full it is nine tenths.
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
        disk_is_full: false,
        below_reserve: false,
        fill: 0.0,
    };

    #[test]
    fn a_dead_segment_is_freed_at_once_and_a_live_one_when_most_of_the_log_is_dead() {
        assert!(!wanted(MOSTLY_LIVE));
        assert!(wanted(LogUsage { oldest_live: 0, ..MOSTLY_LIVE }));
        assert!(wanted(LogUsage { live: 149, ..MOSTLY_LIVE }));
        assert!(!wanted(LogUsage { live: 150, ..MOSTLY_LIVE }));
    }

    #[test]
    fn a_few_old_records_do_not_keep_the_segments_after_them() {
        let segment = 64 * 20;
        let deep = LogUsage { oldest_live: 20, segment, ..MOSTLY_LIVE };
        assert!(wanted(deep));
        assert!(!wanted(LogUsage { oldest_live: 21, ..deep }));
    }

    #[test]
    fn a_fuller_volume_is_compacted_more() {
        assert_eq!((worth(0.0), worth(0.5), worth(0.9), worth(1.0)), (0.25, 0.25, 0.9, 0.9));
        assert!((worth(0.7) - 0.575).abs() < 1e-9);
        let half = LogUsage { live: 300, ..MOSTLY_LIVE };
        assert!(!wanted(LogUsage { fill: 0.6, ..half }) && wanted(LogUsage { fill: 0.8, ..half }));
    }

    #[test]
    fn an_unsealed_segment_is_not_freed() {
        assert!(!wanted(LogUsage { oldest_live: 0, sealed: false, ..MOSTLY_LIVE }));
        assert!(!wanted(LogUsage { live: 149, sealed: false, ..MOSTLY_LIVE }));
    }

    #[test]
    fn a_full_disk_is_compacted_as_soon_as_that_gains_a_segment() {
        let full = LogUsage { disk_is_full: true, ..MOSTLY_LIVE };
        assert!(!wanted(full), "less than a segment is gained");
        assert!(wanted(LogUsage { live: 689, ..full }));
        assert!(!wanted(LogUsage { live: 689, disk_is_full: false, ..full }));
    }

    #[test]
    fn the_reserve_of_leases_and_settles_is_restored() {
        let full = LogUsage { disk_is_full: true, below_reserve: true, ..MOSTLY_LIVE };
        assert!(wanted(LogUsage { live: 764, ..full }) && !wanted(LogUsage { live: 765, ..full }));
    }

    #[test]
    fn a_segment_is_not_copied_if_the_copies_have_no_room() {
        let dead = LogUsage { live: 149, oldest_live: 100, ..MOSTLY_LIVE };
        assert!(wanted(dead) && !wanted(LogUsage { fits: false, ..dead }));
    }
}
