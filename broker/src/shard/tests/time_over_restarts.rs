//! All spans of time over restarts, with wrong wall clocks in some runs: nothing ends before its whole span has passed,
//! and nothing lasts longer than its span, neither after a start nor over all runs.

use std::time::Duration;

use proptest::{prelude::*, test_runner::TestRunner};

use crate::channel::{Claim, Phase, Sequence};
use crate::shard::tests::{clock::RIGHT, *};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const YEAR_MS: i64 = 365 * DAY_MS;

/// The error of the wall clock in the second of three runs.
#[derive(Debug, Clone, Copy)]
enum ClockError {
    By(i64),
    Shows(i64),
}

const CLOCK_ERRORS: [ClockError; 9] = [
    ClockError::By(1000),
    ClockError::By(-1000),
    ClockError::By(HOUR_MS),
    ClockError::By(-HOUR_MS),
    ClockError::By(DAY_MS),
    ClockError::By(-DAY_MS),
    ClockError::By(10 * YEAR_MS),
    ClockError::By(-10 * YEAR_MS),
    ClockError::Shows(-5_000_000_000),
];

/// Kinds of spans, each in a channel of its own.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Life,
    Delay,
    Lease,
    Pause,
    DeadLetter,
    Key,
}

const KINDS: [Kind; 6] = [Kind::Life, Kind::Delay, Kind::Lease, Kind::Pause, Kind::DeadLetter, Kind::Key];
/// Seconds that two power cuts may each lose of a run without events.
const LOST_SECONDS: u64 = 2 * 602;
/// Of the channel of dead letters.
const DEAD_LETTER_SECONDS: u64 = 500;
/// Of the channel of keys.
const WINDOW_SECONDS: u64 = 200;

#[derive(Debug, Clone)]
enum Operation {
    Do(Kind, u64),
    Pass(u64),
    Commit,
    Reclaim,
}

/// One of three runs, and the downtime after it.
#[derive(Debug, Clone)]
struct Run {
    operations: Vec<Operation>,
    down_seconds: u64,
}

fn run() -> impl Strategy<Value = Run> {
    let span = prop_oneof![Just(1_u64), Just(9), 1..200_u64, Just(4000), Just(40_000)];
    let kind = prop::sample::select(&KINDS[..]);
    let operation = prop_oneof![
        6 => (kind, span).prop_map(|(kind, span)| Operation::Do(kind, span)),
        2 => prop_oneof![3 => 1..30_u64, 1 => 1..2000_u64].prop_map(Operation::Pass),
        1 => Just(Operation::Commit),
        1 => Just(Operation::Reclaim),
    ];
    let operations = prop::collection::vec(operation, 0..25);
    (operations, prop_oneof![1..60_u64, 1..20_000_u64])
        .prop_map(|(operations, down_seconds)| Run { operations, down_seconds })
}

/// A span that must not end early, and must have ended after it has passed in one run.
#[derive(Debug)]
struct Promise {
    what: Subject,
    since: u64,
    /// The start of the span, without downtime.
    since_run: u64,
    span: u64,
    /// It ended, and was checked.
    over: bool,
}

#[derive(Debug)]
enum Subject {
    Message(usize, Sequence),
    Delay(usize, Sequence),
    Lease(usize, Claim),
    Key(u128),
}

struct World<P: Place> {
    bench: Bench<P>,
    promises: Vec<Promise>,
    /// Seconds that really passed.
    now: u64,
    /// When the run began.
    started: u64,
    /// Seconds of downtime.
    down: u64,
    /// Downtime is counted, by a correct wall clock.
    is_trusted: bool,
    keys: u128,
}

impl<P: Place> World<P> {
    fn new(is_trusted: bool) -> Self {
        let mut channels = ["life", "delay", "lease", "pause", "letter", "key"].map(channel);
        channels.iter_mut().for_each(|channel| channel.delivery.max_deliveries = 1000);
        channels[4].dead_letter.ttl_seconds = DEAD_LETTER_SECONDS as u32;
        channels[5].deduplication_window_seconds = WINDOW_SECONDS as u32;
        let bench = Bench::by(TimeSource::of_test(RIGHT).trusted(is_trusted), channels.to_vec());
        Self { bench, promises: Vec::new(), now: 0, started: 0, down: 0, is_trusted, keys: 0 }
    }

    fn run(mut self, run: &Run) -> Self {
        for operation in &run.operations {
            match operation {
                Operation::Do(kind, span) => self.promise(*kind, *span),
                Operation::Pass(seconds) => self.pass(*seconds),
                Operation::Commit => self.bench.commit(),
                Operation::Reclaim => self.bench.reclaim(),
            }
            self.check();
        }
        self
    }

    /// Kills the broker, lets time pass, and starts it after a reboot or not, with a wrong or a right wall clock.
    fn restart(mut self, down_seconds: u64, is_other_boot: bool, wrong: Option<ClockError>) -> Self {
        self.bench.commit();
        if is_other_boot {
            self.bench.source.reboot();
        }
        self.bench.source.pass(Duration::from_secs(down_seconds));
        self.now += down_seconds;
        self.down += down_seconds;
        let right = RIGHT + self.now as i64 * 1000;
        self.bench.source.set_wall(match wrong {
            None => right,
            Some(ClockError::By(millis)) => right + millis,
            Some(ClockError::Shows(wall)) => wall,
        });
        self.bench = self.bench.restart();
        self.bench.elapse();
        self.started = self.now;
        self.check();
        self
    }

    fn promise(&mut self, kind: Kind, span: u64) {
        let (channel, millis) = (kind as usize, span * 1000);
        let plain = message("anything");
        let (what, span) = match kind {
            Kind::Life => {
                (Subject::Message(channel, self.push(channel, Push { ttl: Some(millis), ..plain })), span)
            }
            Kind::Delay => {
                (Subject::Delay(channel, self.push(channel, Push { delay: Some(millis), ..plain })), span)
            }
            Kind::Lease => {
                self.push(channel, plain);
                (Subject::Lease(channel, self.pull(channel, millis)), span)
            }
            Kind::Pause => {
                self.push(channel, plain);
                let claim = self.pull(channel, 1000);
                let release = Release { counted: true, delay: Some(millis) };
                let number = self.bench.entries[channel].id;
                let _ = self.bench.shard.release(number, claim, release).unwrap();
                (Subject::Delay(channel, claim.sequence), span)
            }
            Kind::DeadLetter => {
                self.push(channel, plain);
                let claim = self.pull(channel, 1000);
                let number = self.bench.entries[channel].id;
                let _ = self.bench.shard.reject(number, claim, None).unwrap();
                (Subject::Message(channel, claim.sequence), DEAD_LETTER_SECONDS)
            }
            Kind::Key => {
                self.keys += 1;
                let key = Some(keys::PushKey { hash: self.keys, fingerprint: 1 });
                self.push(channel, Push { key, ..plain });
                (Subject::Key(self.keys), WINDOW_SECONDS)
            }
        };
        self.promises.push(Promise {
            what,
            since: self.now,
            since_run: self.now - self.down,
            span,
            over: false,
        });
    }

    fn push(&mut self, channel: usize, push: Push) -> Sequence {
        let entry = self.bench.entries[channel].clone();
        let next = self.bench.shard.next_sequence(&entry);
        assert!(!self.bench.push(&[channel], push).unwrap().replayed);
        next
    }

    fn pull(&mut self, channel: usize, lease: Millis) -> Claim {
        self.bench.pull(channel, lease).expect("one was just stored").granted.claim()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        self.bench.pass(Duration::from_secs(seconds));
    }

    fn check(&mut self) {
        let (now, started) = (self.now, self.started);
        let shard = &self.bench.shard;
        let state = |channel: usize| shard.facts.channels.get(&self.bench.entries[channel].id);
        for promise in self.promises.iter_mut().filter(|promise| !promise.over) {
            let over = match promise.what {
                Subject::Message(channel, sequence) => {
                    state(channel).is_none_or(|channel| channel.state.message(sequence).is_none())
                }
                Subject::Delay(channel, sequence) => {
                    let message = state(channel).and_then(|channel| channel.state.message(sequence));
                    let message = message.expect("it is never settled");
                    !matches!(message.phase, Phase::Delayed { .. })
                }
                Subject::Lease(channel, claim) => !shard.holds(self.bench.entries[channel].id, claim),
                Subject::Key(hash) => shard.facts.keys.candidates(hash, shard.clock.now()).is_empty(),
            };
            assert!(!over || now >= promise.since + promise.span, "at {now}, early: {promise:?}");
            // A key's window is rounded up to a whole second.
            let began = if self.is_trusted { promise.since } else { promise.since.max(started) };
            let late = began + promise.span + 2;
            assert!(over || now < late, "at {now}, late, and the run began at {started}: {promise:?}");
            let late = promise.since_run + promise.span + 2 + LOST_SECONDS;
            assert!(
                over || now - self.down < late,
                "at {now}, late, and no broker ran for {}: {promise:?}",
                self.down
            );
            promise.over = over;
        }
    }

    /// Lets all spans end.
    fn end(mut self) {
        for seconds in [1, 10, 100, 1000, 10_000, 50_000] {
            self.pass(seconds);
            self.check();
        }
        assert!(self.promises.iter().all(|promise| promise.over));
    }
}

fn no_span_ends_early_or_lasts_too_long<P: Place>() {
    let config = ProptestConfig { cases: 4, max_shrink_iters: 300, ..ProptestConfig::default() };
    for wrong in CLOCK_ERRORS {
        for (other_boot, other_boot_back) in [(false, false), (false, true), (true, false), (true, true)] {
            // A runner counts its cases over all of its runs.
            let outcome = TestRunner::new(config.clone()).run(&[run(), run(), run()], |[one, two, three]| {
                let world = World::<P>::new(false).run(&one);
                let world = world.restart(one.down_seconds, other_boot, Some(wrong));
                let world = world.run(&two);
                let world = world.restart(two.down_seconds, other_boot_back, None);
                world.run(&three).end();
                Ok(())
            });
            outcome.unwrap_or_else(|error| panic!("{wrong:?}, {other_boot}, {other_boot_back}: {error}"));
        }
    }
}

fn downtime_is_counted_to_the_second_with_a_trusted_and_right_wall_clock<P: Place>() {
    let config = ProptestConfig { cases: 40, max_shrink_iters: 300, ..ProptestConfig::default() };
    let boots = [any::<bool>(), any::<bool>()];
    let outcome =
        TestRunner::new(config).run(&([run(), run(), run()], boots), |([one, two, three], boots)| {
            let world = World::<P>::new(true).run(&one).restart(one.down_seconds, boots[0], None);
            world.run(&two).restart(two.down_seconds, boots[1], None).run(&three).end();
            Ok(())
        });
    outcome.unwrap();
}

on_every_log!(
    no_span_ends_early_or_lasts_too_long
    downtime_is_counted_to_the_second_with_a_trusted_and_right_wall_clock
);
