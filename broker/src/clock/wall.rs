//! Conversion of the broker's times to wall clock times, for people.

use jiff::fmt::rfc2822::DateTimePrinter;

use super::Millis;

/// No broker ran before 2025: a wall clock that shows less is not set. Machines without a battery start in 1970, or at
/// the date of their firmware.
pub(super) const SET_FROM: Millis = 1_735_689_600_000;
/// 2200: a wall clock that shows more is broken. The kernel's own range ends in 2262.
const SET_UNTIL: Millis = 7_258_118_400_000;
/// Last moment that is printed, at the end of the year 9999: 22:00 on the last day but one, so that it is valid in all
/// time zones.
const LAST: Millis = 253_402_207_200_000;
/// Difference between the wall clock and the shown times that changes the shown times. NTP slews clocks all the time,
/// and the shown time of one message must not change.
const STEP: u64 = 1000;
/// Time that a set wall clock must last before ids follow it: ids cannot go back afterwards.
const STEADY_AFTER: Millis = 60_000;
/// Remembered steps: a wall clock is set once or twice in a run.
const STEPS_MAX: usize = 16;

/// The wall clock, if it is set.
pub(super) fn if_set(wall_ms: i64) -> Option<Millis> {
    Millis::try_from(wall_ms).ok().filter(|wall| (SET_FROM..SET_UNTIL).contains(wall))
}

/// Whether a wall clock time has an HTTP date, which answers need.
pub(super) fn has_date(wall: Millis) -> bool {
    wall <= LAST
}

/// The wall clock times of the broker's times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WallTimes {
    /// The lead of the wall clock from each of these broker's times on, in order. At least one.
    steps: Vec<(Millis, i64)>,
    /// The greatest lead that a wall clock had for at least [`STEADY_AFTER`]; absent while no set clock was seen. A
    /// wall clock beyond it measures downtime. One below it does not: the clock was wrong before and is right now, or
    /// the reverse.
    latest: Option<i64>,
    /// The last lead that lasted for [`STEADY_AFTER`].
    steady: i64,
}

impl WallTimes {
    /// Continues from an earlier run: the wall clock's lead at its end, and the greatest.
    pub(super) fn new(before: Option<(i64, i64)>) -> Self {
        Self {
            steps: vec![(0, before.map_or(0, |(ahead, _)| ahead))],
            latest: before.map(|(_, latest)| latest),
            steady: before.map_or(0, |(ahead, _)| ahead),
        }
    }

    /// Takes the current lead for ids at once, as at a start, where no earlier ids have to be followed.
    pub(super) fn settle(&mut self) {
        self.steady = self.ahead();
    }

    /// Records the current lead. Returns the step, if the clock was set.
    pub(super) fn follow(&mut self, at: Millis, ahead: i64) -> Option<i64> {
        let step = ahead.saturating_sub(self.ahead());
        if self.steps.last().is_none_or(|(from, _)| from.saturating_add(STEADY_AFTER) <= at) {
            self.settle();
            self.latest = self.latest();
        }
        if self.latest.is_none() {
            self.steps = vec![(at, ahead)];
            self.latest = Some(i64::MIN);
            self.settle();
            return Some(step);
        }
        // The offset between shown times and the broker's clock changes in steps only: otherwise shown times would
        // drift with every slew of the wall clock.
        if step.unsigned_abs() < STEP {
            return None;
        }
        if self.steps.len() == STEPS_MAX {
            self.steps.remove(0);
        }
        self.steps.push((at, ahead));
        Some(step)
    }

    /// The current lead of shown times over the broker's clock.
    pub(super) fn ahead(&self) -> i64 {
        self.steps.last().map_or(0, |(_, ahead)| *ahead)
    }

    /// The greatest lead of the wall clock over the broker's clock, now or for at least [`STEADY_AFTER`]; none while no
    /// set wall clock was seen. A shorter lead in the past does not count: nobody has relied on its times.
    pub(super) fn latest(&self) -> Option<i64> {
        self.latest.map(|latest| latest.max(self.ahead()))
    }

    pub(super) fn of(&self, at: Millis) -> Millis {
        let step = self.steps.iter().rfind(|(from, _)| *from <= at).or(self.steps.first());
        at.saturating_add_signed(step.map_or(0, |(_, ahead)| *ahead)).min(LAST)
    }

    /// The wall clock time of one of the broker's times, by the last steady lead.
    pub(super) fn steady(&self, at: Millis) -> Millis {
        at.saturating_add_signed(self.steady).min(LAST)
    }
}

/// A wall clock time as RFC 3339 with milliseconds, in UTC; at most [`LAST`].
pub fn rfc3339(wall: Millis) -> String {
    let time = jiff::Timestamp::from_millisecond(wall.min(LAST) as i64);
    time.map_or_else(|_| wall.to_string(), |time| format!("{time:.3}"))
}

/// A wall clock time as an HTTP date (RFC 9110 section 5.6.7), in whole seconds; at most [`LAST`].
pub fn http_date(wall: Millis) -> String {
    let time = jiff::Timestamp::from_millisecond(wall.min(LAST) as i64);
    let printed = time.and_then(|time| DateTimePrinter::new().timestamp_to_rfc9110_string(&time));
    printed.unwrap_or_else(|_| wall.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        for at in [LAST, LAST + 1, i64::MAX as Millis, Millis::MAX] {
            assert_eq!(rfc3339(at), "9999-12-30T22:00:00.000Z");
        }
    }

    #[test]
    fn a_time_prints_as_an_http_date_in_whole_seconds() {
        assert_eq!(http_date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(Millis::MAX), "Thu, 30 Dec 9999 22:00:00 GMT");
    }

    #[test]
    fn a_wall_clock_is_set_between_2025_and_2200() {
        for unset in [i64::MIN, -1, 0, SET_FROM as i64 - 1, SET_UNTIL as i64, i64::MAX] {
            assert_eq!(if_set(unset), None, "{unset}");
        }
        assert_eq!(if_set(SET_FROM as i64), Some(SET_FROM));
        assert_eq!(
            (rfc3339(SET_FROM), rfc3339(SET_UNTIL)),
            ("2025-01-01T00:00:00.000Z".into(), "2200-01-01T00:00:00.000Z".into())
        );
    }

    #[test]
    fn past_times_keep_the_wall_clock_of_their_moment_and_future_times_follow_todays() {
        let mut times = WallTimes::new(Some((-50, 0)));
        assert_eq!(times.follow(101, 70_000), Some(70_050));
        assert_eq!((times.of(100), times.of(101)), (50, 70_101));
        assert_eq!(times.of(600), 70_600);
        assert_eq!(times.follow(1_000, 70_999), None);
        assert_eq!(times.follow(1_000, 69_000), Some(-1_000));
        assert_eq!((times.of(999), times.of(1_000), times.of(5_000)), (70_999, 70_000, 74_000));
        assert_eq!((times.ahead(), times.latest()), (69_000, Some(69_000)));
        // This lead lasts for a minute, and is then the latest.
        times.follow(61_000, 69_000);
        times.follow(62_000, 10_000);
        assert_eq!((times.ahead(), times.latest()), (10_000, Some(69_000)));
    }

    #[test]
    fn the_first_set_wall_clock_also_applies_to_earlier_times() {
        let mut times = WallTimes::new(None);
        assert_eq!((times.of(100), times.latest()), (100, None));
        assert_eq!(times.follow(500, 9_000), Some(9_000));
        assert_eq!((times.of(100), times.of(500)), (9_100, 9_500));
    }

    #[test]
    fn ids_follow_a_set_wall_clock_after_a_minute() {
        let mut times = WallTimes::new(Some((0, 0)));
        times.follow(1_000, 70_000);
        times.follow(2_000, 0);
        // The lead that has lasted is the one from before.
        times.follow(61_500, 0);
        assert_eq!(times.steady(61_500), 61_500);
        times.follow(70_000, 90_000);
        times.follow(129_999, 90_000);
        assert_eq!(times.steady(129_999), 129_999);
        times.follow(130_000, 90_000);
        assert_eq!(times.steady(130_000), 220_000);
        // The first set clock is trusted at once, and so is the clock at a start.
        let mut times = WallTimes::new(None);
        times.follow(5, 90_000);
        assert_eq!(times.steady(5), 90_005);
        times.follow(10, 0);
        times.settle();
        assert_eq!(times.steady(10), 10);
    }

    #[test]
    fn no_time_is_before_1970_or_after_9999_and_few_steps_are_remembered() {
        let mut times = WallTimes::new(Some((i64::MIN, 0)));
        assert_eq!(times.of(5), 0);
        for at in 1..100 {
            times.follow(at, at as i64 * 10_000);
        }
        assert_eq!((times.steps.len(), times.of(0)), (STEPS_MAX, 840_000));
        assert_eq!(times.of(Millis::MAX), LAST);
    }
}
