//! Slows pulls down while handlers fail. A broken handler must not turn a whole backlog into dead letters before an
//! administrator notices.

use std::time::Duration;

/// The pause after the first failure; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause, so that a repaired handler soon gets messages again.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Counts consecutive failures.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    failures: u32,
}

impl Pace {
    /// Counts the outcome of one message.
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
    fn the_pause_grows_with_each_failure_and_ends_with_a_success() {
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
