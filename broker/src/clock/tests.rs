//! A clock over restarts.

use std::time::Duration;

use super::*;

/// 2026-11-30.
const WALL: i64 = 1_796_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

/// The next start after a run that left this mark.
fn again(source: &TimeSource, mark: Mark) -> Clock {
    let mut past = Past::default();
    past.marked(mark);
    Clock::start(source.clone(), past)
}

/// Time passes, and the clock is followed.
fn pass(source: &TimeSource, clock: &Clock, seconds: u32) {
    for _ in 0..seconds {
        source.pass(SECOND);
        clock.follow();
    }
}

#[test]
fn a_span_is_over_when_all_of_it_has_passed() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    // Cut off, the time is up to a millisecond earlier than it is.
    source.pass(Duration::from_micros(999));
    let end = after(clock.now(), 1000);
    source.pass(Duration::from_micros(999_999));
    assert!(clock.now() < end);
    source.pass(Duration::from_micros(1000));
    assert!(clock.now() >= end);
    assert_eq!(after(Millis::MAX, 1), Millis::MAX);
}

#[test]
fn a_first_start_begins_with_the_wall_clock_and_nobody_sets_it() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    assert_eq!(clock.now(), WALL as Millis);
    source.set_wall(WALL - 3_600_000);
    pass(&source, &clock, 5);
    assert_eq!(clock.now(), WALL as Millis + 5_000);
    assert_eq!(clock.rfc3339(clock.now()), rfc3339(WALL as Millis - 3_595_000));
}

#[test]
fn a_start_after_the_same_boot_knows_exactly_how_much_time_passed() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    let mark = clock.mark();
    source.pass(100 * SECOND);
    source.set_wall(0);
    let clock = again(&source, mark);
    assert_eq!((clock.now(), clock.wall(clock.now())), (WALL as Millis + 100_000, WALL as Millis + 100_000));
    assert_eq!(clock.uncounted_seconds(), 0.0);
}

#[test]
fn after_another_boot_the_time_goes_on_where_it_was_and_people_are_told_the_wall_clocks() {
    let source = TimeSource::of_test(WALL);
    let mark = Clock::start(source.clone(), Past::default()).mark();
    source.pass(100 * SECOND);
    source.reboot();
    let clock = again(&source, mark);
    assert_eq!(
        (clock.now(), clock.uncounted_seconds(), clock.skew_seconds()),
        (WALL as Millis, 100.0, 100.0)
    );
    // What was stored before the start was stored then.
    assert_eq!(clock.wall(WALL as Millis), WALL as Millis);
    pass(&source, &clock, 3600);
    assert_eq!(clock.now(), WALL as Millis + 3_600_000);
    assert_eq!(clock.wall(clock.now()), WALL as Millis + 3_700_000);
    assert_eq!(clock.steps(), 0);
}

#[test]
fn downtime_counts_after_another_boot_when_somebody_vouches_for_the_wall_clock() {
    let source = TimeSource::of_test(WALL).trusted(true);
    let mark = Clock::start(source.clone(), Past::default()).mark();
    source.pass(100 * SECOND);
    source.reboot();
    let clock = again(&source, mark);
    assert_eq!((clock.now(), clock.uncounted_seconds()), (WALL as Millis + 100_000, 0.0));
    assert_eq!((clock.skew_seconds(), clock.wall(clock.now())), (0.0, WALL as Millis + 100_000));
}

#[test]
fn no_downtime_is_counted_that_is_only_a_clock_that_was_wrong() {
    for (set_in_run, at_next_start) in
        [(3_600_000, 3_600_000), (-3_600_000, 0), (0, -3_600_000), (3_600_000, 0)]
    {
        let source = TimeSource::of_test(WALL).trusted(true);
        let clock = Clock::start(source.clone(), Past::default());
        source.set_wall(WALL + set_in_run);
        clock.follow();
        source.reboot();
        source.set_wall(WALL + at_next_start);
        let clock = again(&source, clock.mark());
        assert_eq!(clock.now(), WALL as Millis, "{set_in_run}, {at_next_start}");
    }
}

#[test]
fn a_clock_that_is_not_set_counts_no_downtime_whoever_vouches_for_it() {
    for unset in [i64::MIN, -1, 0, WALL + 474 * 365 * 86_400_000, i64::MAX] {
        let source = TimeSource::of_test(WALL).trusted(true);
        let mark = Clock::start(source.clone(), Past::default()).mark();
        source.reboot();
        source.set_wall(unset);
        let clock = again(&source, mark);
        assert_eq!((clock.now(), clock.wall(clock.now())), (WALL as Millis, WALL as Millis));
        assert_eq!(clock.mark().wall, mark.wall, "{unset}");
    }
}

#[test]
fn a_boot_clock_that_runs_backwards_tells_nothing() {
    let source = TimeSource::of_test(WALL);
    let mark = Clock::start(source.clone(), Past::default()).mark();
    // As of a virtual machine that was put back to a snapshot.
    let clock = again(&source, Mark { boot_ns: mark.boot_ns + 1, ..mark });
    source.pass(SECOND);
    assert_eq!(clock.now(), WALL as Millis + 1000);
}

#[test]
fn a_wall_clock_that_is_not_set_at_the_first_start_counts_no_time_when_it_is() {
    let source = TimeSource::of_test(5_000).trusted(true);
    let clock = Clock::start(source.clone(), Past::default());
    pass(&source, &clock, 10);
    let stored = clock.now();
    assert_eq!((stored, clock.mark().wall), (SET_FROM + 10_000, None));
    source.set_wall(WALL);
    clock.follow();
    assert_eq!((clock.now(), clock.wall(stored), clock.steps()), (stored, WALL as Millis, 1));
    let mark = clock.mark();
    source.reboot();
    let clock = again(&source, mark);
    pass(&source, &clock, 1000);
    assert_eq!(clock.now(), stored + 1_000_000);
}

#[test]
fn a_wall_clock_of_which_there_is_no_date_is_known_as_such() {
    for (wall_ms, seconds) in [(0, None), (WALL, None), (-1_500, Some(-1)), (i64::MAX, Some(i64::MAX / 1000))]
    {
        assert_eq!(TimeSource::of_test(wall_ms).without_date(), seconds);
    }
}

#[test]
fn the_times_that_are_told_are_the_same_after_a_restart() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    source.set_wall(WALL + 86_400_000);
    clock.follow();
    let at = clock.now();
    let told = clock.wall(at);
    // As NTP slews it.
    source.set_wall(WALL + 86_400_300);
    assert_eq!(again(&source, clock.mark()).wall(at), told);
    assert_eq!(told, WALL as Millis + 86_400_000);
}

#[test]
fn a_start_says_that_downtime_counts_only_where_it_does() {
    let day = DAY_MS as i64;
    for (downtime, is_counted, said) in [
        (5_000, true, "how long no broker ran: that counts as passed"),
        (5_000, false, "how long no broker ran: that does not count as passed"),
        (
            day + 1,
            true,
            "more than a day ahead of where the last run was, after another boot: that counts as passed",
        ),
        (day + 1, false, "after another boot: that does not count as passed"),
        (
            -5_000,
            true,
            "the wall clock is behind the furthest that a run has known, after another boot: nothing counts as passed until it is ahead of that",
        ),
        (-5_000, false, "after another boot: nothing counts as passed"),
        (-day - 1, true, "after another boot: nothing counts as passed until it is ahead of that"),
        (-day - 1, false, "after another boot: nothing counts as passed"),
    ] {
        let text = downtime_text(downtime, is_counted);
        assert!(text.ends_with(said), "{downtime}, {is_counted}: {text}");
    }
}

/// A run in which the wall clock was ahead for so many seconds, from its start on or later, and then right; and a start two hours
/// after it. Milliseconds that count of those, and the seconds that do not.
fn two_hours_after_a_clock_that_was_ahead(from_the_start: bool, seconds: u32) -> (Millis, f64) {
    let ahead = WALL + 10 * DAY_MS as i64;
    let source = TimeSource::of_test(if from_the_start { ahead } else { WALL }).trusted(true);
    let clock = Clock::start(source.clone(), Past::default());
    source.set_wall(ahead);
    clock.follow();
    pass(&source, &clock, seconds);
    source.set_wall(WALL + 1000 * i64::from(seconds));
    pass(&source, &clock, 100);
    let mark = clock.mark();
    source.reboot();
    source.pass(2 * 3600 * SECOND);
    let clock = again(&source, mark);
    (clock.now() - mark.own, clock.uncounted_seconds())
}

#[test]
fn downtime_counts_after_a_run_in_which_the_wall_clock_was_ahead_for_a_moment() {
    for from_the_start in [false, true] {
        assert_eq!(two_hours_after_a_clock_that_was_ahead(from_the_start, 3), (7_200_000, 0.0));
    }
}

#[test]
fn no_downtime_counts_until_the_wall_clock_is_where_it_was_for_a_minute_and_a_metric_tells_how_far_that_is() {
    let behind = 7200.0 - 10.0 * 86_400.0;
    assert_eq!(two_hours_after_a_clock_that_was_ahead(false, 61), (0, behind));
}

#[test]
fn a_run_that_ends_within_a_minute_after_the_wall_clock_was_set_has_known_it_so() {
    let source = TimeSource::of_test(WALL).trusted(true);
    let clock = Clock::start(source.clone(), Past::default());
    source.set_wall(WALL + 3_600_000);
    pass(&source, &clock, 3);
    let mark = clock.mark();
    assert_eq!(mark.wall.unwrap().latest, WALL as Millis + 3_603_000);
    source.set_wall(WALL + 3000);
    clock.follow();
    assert_eq!(clock.mark().wall.unwrap().latest, WALL as Millis + 3000);
}
