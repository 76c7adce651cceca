//! The broker's clock: wall time that never runs backwards.
//!
//! At start it is the later of the wall clock and the newest time in the log, and from then on it advances with
//! `CLOCK_BOOTTIME`, which counts suspended time and which nobody can set. A wall clock that is set back while the
//! broker runs, or that was behind at its start, therefore lengthens no lease and re-opens no deduplication window.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the Unix epoch, by the broker's own clock.
pub type Millis = u64;

/// A clock that was started once; cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What the clock showed when it was started.
    started_at: Millis,
    /// `CLOCK_BOOTTIME` at that moment.
    boot_at_start: Duration,
}

impl Clock {
    /// Starts a clock that shows no time before `newest_in_log`.
    pub fn start(newest_in_log: Millis) -> Self {
        Self { started_at: wall_clock().max(newest_in_log), boot_at_start: boot_time() }
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        let elapsed = boot_time().saturating_sub(self.boot_at_start);
        self.started_at + elapsed.as_millis() as Millis
    }

    /// How far the wall clock is ahead of this one, in seconds; negative when it is behind.
    pub fn skew_seconds(&self) -> f64 {
        (wall_clock() as f64 - self.now() as f64) / 1000.0
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
fn wall_clock() -> Millis {
    // Before 1970 the epoch must do; the log's newest time corrects a broken clock.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as Millis)
}

fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// RFC 3339 with milliseconds, in UTC.
pub fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at as i64).map_or_else(|_| at.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_shows_a_time_before_the_newest_in_the_log() {
        let future = wall_clock() + 3_600_000;
        assert!(Clock::start(future).now() >= future);
        assert!(Clock::start(0).now() > 1_700_000_000_000);
    }

    #[test]
    fn a_time_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }
}
