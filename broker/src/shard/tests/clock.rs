//! Restarts with wrong wall clocks: cases that were found by attack, and each rule about time separately.

use std::time::Duration;

use super::*;
use crate::{
    channel::State,
    log::{Record, Target, Targets},
};

/// 2026-11-30: the right time.
pub(super) const RIGHT: i64 = 1_796_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR_MS: i64 = 365 * 24 * 3_600_000;
const TWO_WEEKS_MS: Millis = 14 * 24 * 3_600_000;
const QUARTER_OF_AN_HOUR: Duration = Duration::from_secs(15 * 60);

impl<P: Place> Bench<P> {
    /// Lets time pass, and processes its events.
    pub(super) fn pass(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(SECOND.max(time / 200));
            self.source.pass(step);
            self.shard.follow_clock();
            self.elapse();
            left -= step;
        }
    }

    pub(super) fn elapse(&mut self) {
        while self.shard.next_wake() == Some(0) {
            self.shard.elapse();
        }
    }

    /// Restarts the broker on a rebooted machine.
    fn reboot(self) -> Self {
        self.source.reboot();
        self.restart()
    }

    fn count(&self, channel: usize, state: State) -> u64 {
        let channel = self.shard.facts.channels.get(&self.entries[channel].id);
        channel.map_or(0, |channel| channel.state.count(state))
    }
}

fn bench<P: Place>(wall_ms: i64) -> Bench<P> {
    Bench::by(TimeSource::of_test(wall_ms), vec![channel("one")])
}

fn with_ttl(ttl: Millis) -> Push {
    Push { ttl: Some(ttl), ..message("lives for a while") }
}

fn with_key(hash: u128) -> Push {
    Push { key: Some(keys::PushKey { hash, fingerprint: 1 }), ..message("once") }
}

fn a_start_continues_after_the_time_of_the_newest_message<P: Place>() {
    let mut bench = Bench::<P>::new(vec![channel("one")]);
    // As if the wall clock had been an hour ahead, and was then corrected.
    let ahead = bench.shard.clock.now() + 3_600_000;
    let mut targets = Vec::new();
    Target { channel: bench.entries[0].id, sequence: 0, expires_ms: None }.encode(&mut targets);
    let message = Record::Message {
        targets: Targets::new(&targets),
        parcel: None,
        message_id: 1,
        enqueued_ms: ahead,
        idempotency: None,
        due_ms: None,
        group: None,
        moved_from: None,
        headers: &[],
        body: b"ahead",
    };
    bench.shard.ledger.log.append(&message, crate::log::Purpose::Store).unwrap();
    bench.commit();
    let bench = bench.restart();
    assert!(bench.shard.clock.now() >= ahead);
}

fn messages_pushed_after_a_clock_of_1970_was_corrected_survive_every_restart<P: Place>() {
    for is_other_boot in [false, true] {
        let mut bench = bench::<P>(40_000);
        bench.pass(MINUTE);
        bench.source.set_wall(RIGHT);
        let first = bench.push(&[0], with_key(7)).unwrap().id;
        bench.push(&[0], with_ttl(TWO_WEEKS_MS)).unwrap();
        bench.commit();
        let mut bench = if is_other_boot { bench.reboot() } else { bench.restart() };
        bench.elapse();
        let again = bench.push(&[0], with_key(7)).unwrap();
        assert_eq!((bench.count(0, State::Ready), again.replayed, again.id), (2, true, first));
        bench.pass(QUARTER_OF_AN_HOUR);
        assert_eq!(bench.count(0, State::Ready), 2);
    }
}

fn a_start_in_2500_drops_nothing_and_the_next_start_is_back<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.push(&[0], with_ttl(TWO_WEEKS_MS)).unwrap();
    bench.commit();
    bench.source.set_wall(RIGHT + 474 * YEAR_MS);
    let mut bench = bench.reboot();
    bench.pass(QUARTER_OF_AN_HOUR);
    bench.push(&[0], with_ttl(TWO_WEEKS_MS)).unwrap();
    assert_eq!(bench.count(0, State::Ready), 2);
    bench.commit();
    bench.source.set_wall(RIGHT + 2 * QUARTER_OF_AN_HOUR.as_millis() as i64);
    let mut bench = bench.reboot();
    bench.pass(QUARTER_OF_AN_HOUR);
    assert_eq!(bench.count(0, State::Ready), 2);
    let clock = bench.shard.clock();
    assert_eq!(clock.wall(clock.now()) as i64, RIGHT + 3 * QUARTER_OF_AN_HOUR.as_millis() as i64);
}

fn a_lease_and_a_delay_granted_an_hour_ahead_last_two_seconds<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.push(&[0], message("leased")).unwrap();
    bench.push(&[0], message("paused")).unwrap();
    bench.commit();
    bench.source.set_wall(RIGHT + 3_600_000);
    let mut bench = bench.reboot();
    bench.pull(0, 2000).unwrap();
    let paused = bench.pull(0, 2000).unwrap();
    let release = Release { counted: true, delay: Some(2000) };
    let _ = bench.shard.release(paused.channel, paused.granted.claim(), release).unwrap();
    bench.commit();
    bench.source.set_wall(RIGHT + 10_000);
    let mut bench = bench.reboot();
    bench.pass(Duration::from_millis(1999));
    assert_eq!((bench.count(0, State::Leased), bench.count(0, State::Delayed)), (1, 1));
    bench.pass(Duration::from_millis(3));
    assert_eq!(bench.count(0, State::Ready), 2);
}

fn a_clock_before_1970_ends_nothing_and_shown_times_continue<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.push(&[0], with_ttl(TWO_WEEKS_MS)).unwrap();
    bench.commit();
    bench.source.set_wall(-5_000_000_000);
    let mut bench = bench.reboot();
    let id = bench.push(&[0], with_ttl(60_000)).unwrap().id;
    bench.pass(59 * SECOND);
    assert_eq!(bench.count(0, State::Ready), 2);
    bench.pass(2 * SECOND);
    assert_eq!(bench.count(0, State::Ready), 1);
    let shown = bench.shard.clock.wall(bench.shard.clock.now()) as i64;
    assert_eq!(shown, RIGHT + 61_000);
    assert_eq!(id.get_timestamp().unwrap().to_unix().0 as i64, RIGHT / 1000);
}

/// The shown times of a message: its storage, the end of its lease, and the time in its id.
fn shown_times<P: Place>(bench: &mut Bench<P>) -> [i64; 3] {
    let id = bench.push(&[0], message("shown")).unwrap().id;
    let delivery = bench.pull(0, 10_000).unwrap();
    let channel = &bench.shard.facts.channels[&bench.entries[0].id];
    let stored = channel.state.message(delivery.granted.sequence).unwrap().stored;
    let clock = bench.shard.clock();
    let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
    [
        clock.wall(stored.enqueued_at) as i64 - RIGHT,
        clock.wall(delivery.granted.ends_at) as i64 - RIGHT,
        (seconds * 1000 + u64::from(nanos) / 1_000_000) as i64 - RIGHT,
    ]
}

fn shown_times_follow_a_short_jump_of_the_wall_clock_and_ids_do_not<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    let date = |bench: &Bench<P>| {
        let clock = bench.shard.clock();
        crate::clock::http_date(clock.wall(clock.now()))
    };
    bench.pass(SECOND);
    assert_eq!(shown_times(&mut bench), [1_000, 11_001, 1_000]);
    bench.source.set_wall(RIGHT + 1_000 + YEAR_MS);
    bench.pass(SECOND);
    let ahead = [2_000 + YEAR_MS, 12_001 + YEAR_MS, 2_000];
    assert_eq!((shown_times(&mut bench), date(&bench)), (ahead, "Tue, 30 Nov 2027 00:53:22 GMT".to_owned()));
    bench.source.set_wall(RIGHT + 2_000);
    bench.pass(SECOND);
    assert_eq!(shown_times(&mut bench), [3_000, 13_001, 3_000]);
    assert_eq!(date(&bench), "Mon, 30 Nov 2026 00:53:23 GMT");
    // Messages that were stored while the wall clock was wrong keep their shown time until the run ends. A dump and the
    // next start show them by the last wall clock.
    let clock = bench.shard.clock();
    let stored = clock.now() - 1_000;
    assert_eq!(clock.wall(stored) as i64, RIGHT + 2_000 + YEAR_MS);
    let mut past = crate::clock::Past::default();
    past.marked(clock.mark());
    assert_eq!(past.wall(stored) as i64, RIGHT + 2_000);
    bench.shard.follow_clock();
    bench.commit();
    let mut bench = bench.restart();
    assert_eq!(bench.shard.clock().wall(stored) as i64, RIGHT + 2_000);
    assert_eq!(shown_times(&mut bench), [3_000, 13_001, 3_000]);
}

fn ids_follow_a_wall_clock_that_stays_ahead_for_over_a_minute_until_the_next_start<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.source.set_wall(RIGHT + YEAR_MS);
    bench.pass(2 * MINUTE);
    let before = bench.push(&[0], message("ahead")).unwrap().id;
    assert_eq!(shown_times(&mut bench)[2], YEAR_MS + 120_000);
    bench.source.set_wall(RIGHT + 120_000);
    bench.pass(2 * MINUTE);
    // Ids ascend.
    let after = bench.push(&[0], message("back")).unwrap().id;
    assert!(after > before && shown_times(&mut bench)[2] == YEAR_MS + 120_000);
    bench.commit();
    let mut bench = bench.restart();
    assert_eq!(shown_times(&mut bench)[2], 240_000);
}

fn keys_are_remembered_after_2106<P: Place>() {
    let mut bench = bench::<P>(RIGHT + 81 * YEAR_MS);
    bench.push(&[0], with_key(7)).unwrap();
    assert!(bench.push(&[0], with_key(7)).unwrap().replayed);
    bench.commit();
    let mut bench = bench.reboot();
    assert!(bench.push(&[0], with_key(7)).unwrap().replayed);
    bench.pass(QUARTER_OF_AN_HOUR);
    assert!(!bench.push(&[0], with_key(7)).unwrap().replayed);
    assert!(bench.push(&[0], with_key(7)).unwrap().replayed);
}

fn a_lease_of_a_second_lasts_a_whole_second<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.push(&[0], message("leased")).unwrap();
    bench.source.pass(Duration::from_micros(900));
    let claim = bench.pull(0, 1000).unwrap().granted.claim();
    bench.source.pass(Duration::from_micros(999_900));
    bench.elapse();
    assert!(bench.shard.settle(bench.entries[0].id, claim).is_ok());
}

fn a_due_event_before_a_power_cut_is_not_due_again_after_it<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.push(&[0], Push { delay: Some(3_600_000), ..message("delayed") }).unwrap();
    bench.commit();
    bench.pass(HOUR + SECOND);
    assert_eq!(bench.count(0, State::Ready), 1);
    bench.commit();
    let mut bench = bench.reboot();
    bench.pass(2 * SECOND);
    assert_eq!(bench.count(0, State::Ready), 1);
}

fn a_delay_of_an_idle_broker_continues_after_a_power_cut<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.push(&[0], Push { delay: Some(2 * 3_600_000), ..message("delayed") }).unwrap();
    bench.commit();
    bench.pass(100 * MINUTE);
    bench.commit();
    let mut bench = bench.reboot();
    bench.pass(19 * MINUTE);
    assert_eq!(bench.count(0, State::Delayed), 1);
    bench.pass(12 * MINUTE);
    assert_eq!(bench.count(0, State::Ready), 1);
}

fn the_time_outlives_the_part_of_the_log_with_its_mark<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    for _ in 0..40 {
        bench.push(&[0], message(&"x".repeat(20_000))).unwrap();
        let delivery = bench.pull(0, 60_000).unwrap();
        let _ = bench.shard.settle(delivery.channel, delivery.granted.claim()).unwrap();
        bench.commit();
        bench.reclaim();
        bench.pass(SECOND / 40);
    }
    let marked = bench.shard.clock.now();
    bench.commit();
    bench.source.set_wall(0);
    let mut bench = bench.restart();
    bench.source.pass(HOUR);
    assert!(bench.shard.clock.now() >= marked + HOUR.as_millis() as Millis);
    bench = bench.restart();
    assert!(bench.shard.clock.now() >= marked + HOUR.as_millis() as Millis);
}

fn an_idle_shard_writes_no_mark_and_a_busy_one_writes_one_per_second<P: Place>() {
    let mut bench = bench::<P>(RIGHT);
    bench.pass(MINUTE);
    assert!(!bench.shard.ledger.has_to_commit(), "nothing happened");
    let mut marks = Vec::new();
    for _ in 0..4 {
        bench.push(&[0], message("the same")).unwrap();
        let before = bench.shard.open_bytes();
        bench.shard.mark_with_group();
        marks.push(bench.shard.open_bytes() > before);
        bench.commit();
        bench.pass(SECOND / 2);
    }
    assert_eq!(marks, [true, false, true, false]);
    bench.commit();
    assert!(!bench.shard.ledger.has_to_commit());
    // A setting of the wall clock is always recorded for the next run.
    bench.source.set_wall(RIGHT + YEAR_MS);
    bench.pass(SECOND);
    assert!(bench.shard.ledger.has_to_commit());
}

on_every_log!(
    a_start_continues_after_the_time_of_the_newest_message
    messages_pushed_after_a_clock_of_1970_was_corrected_survive_every_restart
    a_start_in_2500_drops_nothing_and_the_next_start_is_back
    a_lease_and_a_delay_granted_an_hour_ahead_last_two_seconds
    a_clock_before_1970_ends_nothing_and_shown_times_continue
    shown_times_follow_a_short_jump_of_the_wall_clock_and_ids_do_not
    ids_follow_a_wall_clock_that_stays_ahead_for_over_a_minute_until_the_next_start
    keys_are_remembered_after_2106
    a_lease_of_a_second_lasts_a_whole_second
    a_due_event_before_a_power_cut_is_not_due_again_after_it
    a_delay_of_an_idle_broker_continues_after_a_power_cut
    the_time_outlives_the_part_of_the_log_with_its_mark
    an_idle_shard_writes_no_mark_and_a_busy_one_writes_one_per_second
);
