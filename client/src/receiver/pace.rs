//! How fast messages are asked for while workers fail: a worker that can handle nothing must not lead a whole backlog to the
//! dead letters before anybody notices.

use std::time::Duration;

/// The pause after the first failure; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause: a mended worker is not kept waiting.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    failures: u32,
}

impl Pace {
    /// A message was handled, or not.
    pub(crate) fn count(&mut self, handled: bool) {
        self.failures = if handled { 0 } else { self.failures.saturating_add(1) };
    }

    /// The pause before the next request.
    pub(crate) fn pause(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => PAUSE_MIN.saturating_mul(1 << (failures - 1).min(16)).min(PAUSE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_slow_down_and_a_success_ends_that() {
        let mut pace = Pace::default();
        let mut pause = |handled| {
            pace.count(handled);
            pace.pause().as_millis()
        };
        let pauses: Vec<u128> = (0..8).map(|_| pause(false)).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(pause(true), 0);
        assert_eq!(pause(false), PAUSE_MIN.as_millis());
    }
}
