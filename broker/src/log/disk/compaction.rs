//! When the oldest segment is worth freeing. Pure.

/// Segments beyond which a log that is mostly dead is made smaller: the active one, the reserve, and one to copy into.
const SLACK_SEGMENTS: u64 = 4;

/// What the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    /// Bytes of all segments in use.
    pub(super) total: u64,
    /// Bytes of records that are still needed.
    pub(super) live: u64,
    /// The same, in the oldest segment.
    pub(super) oldest_live: u64,
    /// Bytes of one segment.
    pub(super) segment: u64,
    /// Whether there is a sealed segment at all.
    pub(super) sealed: bool,
}

/// Whether the oldest segment should be freed now: at once when nothing in it is live, and by copying when more than half
/// of the log is dead, so that each byte is copied about once on average.
pub(super) fn wanted(usage: Use) -> bool {
    usage.sealed && (usage.oldest_live == 0 || usage.total > 2 * usage.live + SLACK_SEGMENTS * usage.segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOSTLY_LIVE: Use = Use { total: 1000, live: 700, oldest_live: 50, segment: 100, sealed: true };

    #[test]
    fn a_dead_segment_goes_at_once_and_a_live_one_when_most_is_dead() {
        assert!(!wanted(MOSTLY_LIVE));
        assert!(wanted(Use { oldest_live: 0, ..MOSTLY_LIVE }));
        assert!(wanted(Use { live: 299, ..MOSTLY_LIVE }));
        assert!(!wanted(Use { live: 300, ..MOSTLY_LIVE }));
        assert!(!wanted(Use { oldest_live: 0, sealed: false, ..MOSTLY_LIVE }));
    }
}
