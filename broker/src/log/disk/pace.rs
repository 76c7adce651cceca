//! Whether the worker thread waits for the disk itself or leaves that to helper threads. Pure.
//!
//! On a fast disk, handing a job to another thread costs more than the sync. On a slow disk, such as a cloud volume,
//! waiting would delay all requests. Measured with 64 clients and syncs of 0.1 ms: 105,000 pushes a second inline, and
//! 84,000 with helpers.

use std::time::Duration;

/// Number of syncs to consider: enough that a few outliers do not matter, and reached within a second of work.
const RECENT: usize = 64;
/// A lower median means a fast disk.
const FAST: Duration = Duration::from_micros(400);
/// A higher median means a slow disk. Well above [`FAST`], so that a disk in between keeps its mode.
const SLOW: Duration = Duration::from_micros(600);
/// One longer sync is enough to return to helpers at once, because the next one may take as long.
const TOO_LONG: Duration = Duration::from_millis(5);

const _: () = assert!(FAST.as_nanos() < SLOW.as_nanos() && SLOW.as_nanos() < TOO_LONG.as_nanos());

/// The thread that waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Helper threads.
    Helped,
    /// The worker thread.
    Inline,
}

/// Chooses the mode by the durations of syncs.
#[derive(Debug)]
pub(super) struct Pace {
    mode: Mode,
    /// Durations since the last change of mode, at most [`RECENT`].
    recent: [Duration; RECENT],
    count: usize,
}

impl Pace {
    /// Starts with helpers, because the disk may be slow.
    pub(super) fn new() -> Self {
        Self { mode: Mode::Helped, recent: [Duration::ZERO; RECENT], count: 0 }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Adds the duration of a sync.
    pub(super) fn observe(&mut self, sync: Duration) {
        self.recent[self.count % RECENT] = sync;
        self.count += 1;
        let mode = match self.mode {
            Mode::Helped if self.most(|sync| sync < FAST) => Mode::Inline,
            Mode::Inline if sync > TOO_LONG || self.most(|sync| sync > SLOW) => Mode::Helped,
            mode => mode,
        };
        if mode != self.mode {
            *self = Self { mode, ..Self::new() };
        }
    }

    /// Whether this holds for more than half of the recent syncs, and so for their median. False until there are
    /// enough.
    fn most(&self, is_so: impl Fn(Duration) -> bool) -> bool {
        self.count >= RECENT && self.recent.iter().filter(|sync| is_so(**sync)).count() > RECENT / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(pace: &mut Pace, micros: u64, times: usize) -> Mode {
        (0..times).for_each(|_| pace.observe(Duration::from_micros(micros)));
        pace.mode()
    }

    #[test]
    fn a_disk_counts_as_slow_until_its_syncs_are_fast() {
        let mut pace = Pace::new();
        assert_eq!(observed(&mut pace, 100, 63), Mode::Helped);
        assert_eq!(observed(&mut pace, 100, 1), Mode::Inline);
        let mut pace = Pace::new();
        assert_eq!(observed(&mut pace, 450, 1000), Mode::Helped);
    }

    #[test]
    fn the_median_decides_and_not_a_few_outliers() {
        let mut pace = Pace::new();
        observed(&mut pace, 4000, 31);
        assert_eq!(observed(&mut pace, 399, 33), Mode::Inline);
        let mut pace = Pace::new();
        observed(&mut pace, 4000, 32);
        assert_eq!(observed(&mut pace, 399, 32), Mode::Helped);
    }

    #[test]
    fn a_fast_disk_that_becomes_slow_is_noticed() {
        let mut pace = Pace::new();
        observed(&mut pace, 100, 64);
        assert_eq!(observed(&mut pace, 550, 1000), Mode::Inline, "in between, the mode stays");
        assert_eq!(observed(&mut pace, 601, 32), Mode::Inline);
        assert_eq!(observed(&mut pace, 601, 1), Mode::Helped);
    }

    #[test]
    fn one_sync_that_takes_too_long_is_enough() {
        let mut pace = Pace::new();
        observed(&mut pace, 100, 64);
        assert_eq!(observed(&mut pace, 5000, 1), Mode::Inline);
        assert_eq!(observed(&mut pace, 5001, 1), Mode::Helped);
        assert_eq!(observed(&mut pace, 100, 63), Mode::Helped, "the disk has to be fast again first");
        assert_eq!(observed(&mut pace, 100, 1), Mode::Inline);
    }
}
