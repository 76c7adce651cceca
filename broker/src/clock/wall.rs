//! What people are told: times of the broker as times of the wall clock.

use jiff::fmt::rfc2822::DateTimePrinter;

use super::Millis;

/// No broker ran before 2025: a wall clock that shows less is not set. Machines without a battery start in 1970, or when their
/// firmware was made.
pub(super) const SET_FROM: Millis = 1_735_689_600_000;
/// 2200: a wall clock that shows more is broken. The kernel's own ends in 2262.
const SET_UNTIL: Millis = 7_258_118_400_000;
/// The last moment that has a text, at the end of the year 9999: 22:00 on its last day but one, for the sake of all time zones.
const LAST: Millis = 253_402_207_200_000;
/// By how much the wall clock may differ from what people were told before they are told otherwise. NTP slews clocks all the
/// time, and a message was stored at one time only.
const STEP: u64 = 1000;
/// For how long the wall clock has to stay where it was set before ids go with it: they cannot go back with it.
const STEADY_AFTER: Millis = 60_000;
/// Steps that are remembered: a wall clock is set once or twice in a run.
const STEPS_MAX: usize = 16;

/// What the wall clock shows, if it is set.
pub(super) fn if_set(wall_ms: i64) -> Option<Millis> {
    Millis::try_from(wall_ms).ok().filter(|wall| (SET_FROM..SET_UNTIL).contains(wall))
}

/// Whether a wall clock time has a date, as HTTP answers must.
pub(super) fn has_date(wall: Millis) -> bool {
    wall <= LAST
}

/// Wall clock times of the broker's times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WallTimes {
    /// From which of the broker's times on the wall clock was how far ahead, in order. At least one.
    steps: Vec<(Millis, i64)>,
    /// The furthest that a wall clock was ever ahead for [`STEADY_AFTER`]; absent while none was seen set. What lies beyond it is time
    /// that passed while no broker ran: what does not, is a clock that was wrong before and is right now, or the other way round.
    latest: Option<i64>,
    /// How far it was ahead when that had lasted for [`STEADY_AFTER`].
    steady: i64,
}

impl WallTimes {
    /// As a run before has known them: how far the wall clock was ahead at its end, and at the most.
    pub(super) fn new(before: Option<(i64, i64)>) -> Self {
        Self {
            steps: vec![(0, before.map_or(0, |(ahead, _)| ahead))],
            latest: before.map(|(_, latest)| latest),
            steady: before.map_or(0, |(ahead, _)| ahead),
        }
    }

    /// At a start ids have nothing to wait for: the wall clock is taken as it is.
    pub(super) fn settle(&mut self) {
        self.steady = self.ahead();
    }

    /// The wall clock is so far ahead. The step that it took, if it is one.
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
        // What is told changes in steps: or it would creep up on a clock that is slewed to and fro.
        if step.unsigned_abs() < STEP {
            return None;
        }
        if self.steps.len() == STEPS_MAX {
            self.steps.remove(0);
        }
        self.steps.push((at, ahead));
        Some(step)
    }

    /// How far the wall clock is ahead now, as people are told.
    pub(super) fn ahead(&self) -> i64 {
        self.steps.last().map_or(0, |(_, ahead)| *ahead)
    }

    /// How far it was ahead at the most, as it is now or was for [`STEADY_AFTER`]; none while no wall clock was seen set. Where it was
    /// for a moment only nobody has relied on.
    pub(super) fn latest(&self) -> Option<i64> {
        self.latest.map(|latest| latest.max(self.ahead()))
    }

    /// The wall clock time of one of the broker's times.
    pub(super) fn of(&self, at: Millis) -> Millis {
        let step = self.steps.iter().rfind(|(from, _)| *from <= at).or(self.steps.first());
        at.saturating_add_signed(step.map_or(0, |(_, ahead)| *ahead)).min(LAST)
    }

    /// The same by the wall clock as it has been for a while.
    pub(super) fn steady(&self, at: Millis) -> Millis {
        at.saturating_add_signed(self.steady).min(LAST)
    }
}

/// A wall clock time as RFC 3339 with milliseconds, in UTC. After [`LAST`] it is that.
pub fn rfc3339(wall: Millis) -> String {
    let time = jiff::Timestamp::from_millisecond(wall.min(LAST) as i64);
    time.map_or_else(|_| wall.to_string(), |time| format!("{time:.3}"))
}

/// A wall clock time as HTTP dates have it (RFC 9110 section 5.6.7), in whole seconds. After [`LAST`] it is that.
pub fn http_date(wall: Millis) -> String {
    let time = jiff::Timestamp::from_millisecond(wall.min(LAST) as i64);
    let printed = time.and_then(|time| DateTimePrinter::new().timestamp_to_rfc9110_string(&time));
    printed.unwrap_or_else(|_| wall.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_as_rfc_3339_with_milliseconds_whatever_it_is() {
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
    fn what_happened_is_told_by_the_clock_of_its_time_and_what_is_due_by_todays() {
        let mut times = WallTimes::new(Some((-50, 0)));
        assert_eq!(times.follow(101, 70_000), Some(70_050));
        assert_eq!((times.of(100), times.of(101)), (50, 70_101));
        assert_eq!(times.of(600), 70_600);
        assert_eq!(times.follow(1_000, 70_999), None);
        assert_eq!(times.follow(1_000, 69_000), Some(-1_000));
        assert_eq!((times.of(999), times.of(1_000), times.of(5_000)), (70_999, 70_000, 74_000));
        assert_eq!((times.ahead(), times.latest()), (69_000, Some(69_000)));
        // That stays for a minute, and then counts.
        times.follow(61_000, 69_000);
        times.follow(62_000, 10_000);
        assert_eq!((times.ahead(), times.latest()), (10_000, Some(69_000)));
    }

    #[test]
    fn a_wall_clock_that_is_set_for_the_first_time_holds_for_what_was_before() {
        let mut times = WallTimes::new(None);
        assert_eq!((times.of(100), times.latest()), (100, None));
        assert_eq!(times.follow(500, 9_000), Some(9_000));
        assert_eq!((times.of(100), times.of(500)), (9_100, 9_500));
    }

    #[test]
    fn ids_go_with_the_wall_clock_when_it_has_stayed_where_it_was_set() {
        let mut times = WallTimes::new(Some((0, 0)));
        times.follow(1_000, 70_000);
        times.follow(2_000, 0);
        // What has lasted is what was before.
        times.follow(61_500, 0);
        assert_eq!(times.steady(61_500), 61_500);
        times.follow(70_000, 90_000);
        times.follow(129_999, 90_000);
        assert_eq!(times.steady(129_999), 129_999);
        times.follow(130_000, 90_000);
        assert_eq!(times.steady(130_000), 220_000);
        // The first that is set is believed, and so is that of a start.
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
