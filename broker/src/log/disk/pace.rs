//! Who waits for the disk: the thread that serves, or helpers of its own. Pure.
//!
//! On a fast disk a hand-over to another thread costs more than the sync; on a slow one, as volumes of clouds are, waiting
//! would hold up everybody. Measured with 64 clients: 105,000 pushes a second inline and 84,000 with helpers when a sync
//! takes 0.1 ms.

use std::time::Duration;

/// Syncs that are looked at: enough that a few odd ones change nothing, and over within a second of work.
const RECENT: usize = 64;
/// A median below this is a fast disk.
const FAST: Duration = Duration::from_micros(400);
/// A median above this is a slow one. Well above the other, so that a disk in between stays as it is.
const SLOW: Duration = Duration::from_micros(600);
/// One sync above this is enough to go back at once: whatever the disk does, the next one may take as long.
const TOO_LONG: Duration = Duration::from_millis(5);

const _: () = assert!(FAST.as_nanos() < SLOW.as_nanos() && SLOW.as_nanos() < TOO_LONG.as_nanos());

/// Who waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Helpers.
    Helped,
    /// The thread that serves.
    Inline,
}

/// Judges a disk by how long its syncs take.
#[derive(Debug)]
pub(super) struct Pace {
    mode: Mode,
    /// The syncs since the mode was last changed, at most [`RECENT`].
    recent: [Duration; RECENT],
    count: usize,
}

impl Pace {
    /// Nothing is known of the disk yet, and it may be slow.
    pub(super) fn new() -> Self {
        Self { mode: Mode::Helped, recent: [Duration::ZERO; RECENT], count: 0 }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// A sync took so long.
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

    /// Whether more than half of the recent syncs, and so their median, are so; not before there are enough.
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
    fn a_disk_is_slow_until_it_has_shown_that_it_is_fast() {
        let mut pace = Pace::new();
        assert_eq!(observed(&mut pace, 100, 63), Mode::Helped);
        assert_eq!(observed(&mut pace, 100, 1), Mode::Inline);
        let mut pace = Pace::new();
        assert_eq!(observed(&mut pace, 450, 1000), Mode::Helped);
    }

    #[test]
    fn the_median_decides_and_not_a_few_odd_syncs() {
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
        assert_eq!(observed(&mut pace, 550, 1000), Mode::Inline, "in between, it stays as it is");
        assert_eq!(observed(&mut pace, 601, 32), Mode::Inline);
        assert_eq!(observed(&mut pace, 601, 1), Mode::Helped);
    }

    #[test]
    fn one_sync_that_takes_too_long_is_enough() {
        let mut pace = Pace::new();
        observed(&mut pace, 100, 64);
        assert_eq!(observed(&mut pace, 5000, 1), Mode::Inline);
        assert_eq!(observed(&mut pace, 5001, 1), Mode::Helped);
        assert_eq!(observed(&mut pace, 100, 63), Mode::Helped, "it has to show it again");
        assert_eq!(observed(&mut pace, 100, 1), Mode::Inline);
    }
}
