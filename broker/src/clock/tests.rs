//! The clock over several starts.

use std::time::Duration;

use super::*;

/// 2026-11-30.
const WALL: i64 = 1_796_000_000_000;
const SECOND: Duration = Duration::from_secs(1);

/// Starts again after a run that left this mark.
fn again(source: &TimeSource, mark: Mark) -> Clock {
    let mut past = Past::default();
    past.marked(mark);
    Clock::start(source.clone(), past)
}

/// Lets seconds pass, following the wall clock after each.
fn pass(source: &TimeSource, clock: &Clock, seconds: u32) {
    for _ in 0..seconds {
        source.pass(SECOND);
        clock.follow();
    }
}

#[test]
fn a_deadline_is_reached_after_the_full_duration() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    // `now` is rounded down by up to a millisecond.
    source.pass(Duration::from_micros(999));
    let end = after(clock.now(), 1000);
    source.pass(Duration::from_micros(999_999));
    assert!(clock.now() < end);
    source.pass(Duration::from_micros(1000));
    assert!(clock.now() >= end);
    assert_eq!(after(Millis::MAX, 1), Millis::MAX);
}

#[test]
fn the_first_start_takes_the_wall_clock_and_later_settings_do_not_move_the_time() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    assert_eq!(clock.now(), WALL as Millis);
    source.set_wall(WALL - 3_600_000);
    pass(&source, &clock, 5);
    assert_eq!(clock.now(), WALL as Millis + 5_000);
    assert_eq!(clock.rfc3339(clock.now()), rfc3339(WALL as Millis - 3_595_000));
}

#[test]
fn a_start_within_the_same_boot_counts_exactly_the_time_that_passed() {
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
fn after_a_reboot_the_time_continues_and_shown_times_follow_the_wall_clock() {
    let source = TimeSource::of_test(WALL);
    let mark = Clock::start(source.clone(), Past::default()).mark();
    source.pass(100 * SECOND);
    source.reboot();
    let clock = again(&source, mark);
    assert_eq!(
        (clock.now(), clock.uncounted_seconds(), clock.skew_seconds()),
        (WALL as Millis, 100.0, 100.0)
    );
    // Events before the start keep their time.
    assert_eq!(clock.wall(WALL as Millis), WALL as Millis);
    pass(&source, &clock, 3600);
    assert_eq!(clock.now(), WALL as Millis + 3_600_000);
    assert_eq!(clock.wall(clock.now()), WALL as Millis + 3_700_000);
    assert_eq!(clock.steps(), 0);
}

#[test]
fn downtime_counts_after_a_reboot_with_a_trusted_wall_clock() {
    let source = TimeSource::of_test(WALL).trusted(true);
    let mark = Clock::start(source.clone(), Past::default()).mark();
    source.pass(100 * SECOND);
    source.reboot();
    let clock = again(&source, mark);
    assert_eq!((clock.now(), clock.uncounted_seconds()), (WALL as Millis + 100_000, 0.0));
    assert_eq!((clock.skew_seconds(), clock.wall(clock.now())), (0.0, WALL as Millis + 100_000));
}

#[test]
fn a_corrected_wall_clock_is_not_counted_as_downtime() {
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
fn an_unset_wall_clock_counts_no_downtime_even_if_trusted() {
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
fn a_boot_clock_that_ran_backwards_is_ignored() {
    let source = TimeSource::of_test(WALL);
    let mark = Clock::start(source.clone(), Past::default()).mark();
    // As after a virtual machine was reset to a snapshot.
    let clock = again(&source, Mark { boot_ns: mark.boot_ns + 1, ..mark });
    source.pass(SECOND);
    assert_eq!(clock.now(), WALL as Millis + 1000);
}

#[test]
fn setting_the_wall_clock_after_an_unset_first_start_counts_no_time() {
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
fn a_wall_clock_without_an_http_date_is_reported() {
    for (wall_ms, seconds) in [(0, None), (WALL, None), (-1_500, Some(-1)), (i64::MAX, Some(i64::MAX / 1000))]
    {
        assert_eq!(TimeSource::of_test(wall_ms).without_date(), seconds);
    }
}

#[test]
fn shown_times_are_the_same_after_a_restart() {
    let source = TimeSource::of_test(WALL);
    let clock = Clock::start(source.clone(), Past::default());
    source.set_wall(WALL + 86_400_000);
    clock.follow();
    let at = clock.now();
    let shown = clock.wall(at);
    // NTP slewed it meanwhile.
    source.set_wall(WALL + 86_400_300);
    assert_eq!(again(&source, clock.mark()).wall(at), shown);
    assert_eq!(shown, WALL as Millis + 86_400_000);
}

#[test]
fn the_log_reports_whether_downtime_is_counted() {
    let day = DAY_MS as i64;
    for (downtime, is_counted, expected) in [
        (5_000, true, "measures the downtime: the downtime is counted as passed"),
        (5_000, false, "measures the downtime: the downtime is not counted as passed"),
        (day + 1, true, "more than a day ahead of the last run: the downtime is counted as passed"),
        (day + 1, false, "of the last run: the downtime is not counted as passed"),
        (
            -5_000,
            true,
            "the wall clock is behind the latest known: no downtime is counted until it has caught up",
        ),
        (-5_000, false, "behind the latest known: no downtime is counted"),
        (
            -day - 1,
            true,
            "more than a day behind the latest known: no downtime is counted until it has caught up",
        ),
        (-day - 1, false, "more than a day behind the latest known: no downtime is counted"),
    ] {
        let text = downtime_text(downtime, is_counted);
        assert!(text.ends_with(expected), "{downtime}, {is_counted}: {text}");
    }
}

/// A run in which the wall clock was ahead for some seconds, from the start on or later, and then right; and a start
/// two hours later. Returns the milliseconds of downtime that are counted, and the seconds that are not.
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
fn a_wall_clock_that_was_ahead_for_a_moment_does_not_stop_the_count_of_downtime() {
    for from_the_start in [false, true] {
        assert_eq!(two_hours_after_a_clock_that_was_ahead(from_the_start, 3), (7_200_000, 0.0));
    }
}

#[test]
fn a_wall_clock_that_was_ahead_for_a_minute_stops_the_count_until_it_has_caught_up() {
    let behind = 7200.0 - 10.0 * 86_400.0;
    assert_eq!(two_hours_after_a_clock_that_was_ahead(false, 61), (0, behind));
}

#[test]
fn a_wall_clock_that_was_set_just_before_the_end_of_a_run_is_remembered() {
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
