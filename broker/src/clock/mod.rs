//! The broker's clock: a time of its own, which never runs backwards and which nobody can set.
//!
//! Within a run it advances with `CLOCK_BOOTTIME`, which counts the time for which the machine slept. From one run to the next
//! it goes on where it was, and the time that passed in between is added if it is known: within one boot of the machine the
//! boot clock tells. After another boot, or on another machine, only the wall clock does, and that may be wrong: a machine
//! without a battery starts in 1970. So that downtime does not count, unless somebody vouches for the wall clock
//! (`--count-downtime`). Lives, leases, delays and windows are counted by this time: a wall clock that is wrong ends none of
//! them early and withholds none of them.
//!
//! Nor is downtime added later, when the wall clock has proved to be right: what was promised since the start would be over
//! too early.
//!
//! [`wall`] makes wall clock times for people. [`mark`] keeps what a run knows of the time for the next run.

mod mark;
mod source;
mod wall;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwap;

pub use mark::{Mark, Past, Wall};
pub use source::TimeSource;
use wall::{SET_FROM, WallTimes, if_set};
pub use wall::{http_date, rfc3339};

/// Milliseconds: of the broker's own time, which began as those since 1970, or of the wall clock, since 1970.
pub type Millis = u64;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// The wall clock moves by less all the time: NTP slews it.
const SECOND_MS: u64 = 1000;
/// A step of the wall clock that is more than this is unusual enough for a warning.
const DAY_MS: u64 = 24 * 3_600_000;

/// When a span that begins now is over: never before all of it has passed. Times are whole milliseconds and `now` is cut off, so
/// that one more is needed.
pub fn after(now: Millis, span: Millis) -> Millis {
    now.saturating_add(span).saturating_add(1)
}

/// A clock that was started once. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: TimeSource,
    /// The time at the start.
    began: Millis,
    /// The boot clock at that moment.
    boot_ns_at_start: u64,
    wall: ArcSwap<WallTimes>,
    /// How often the wall clock was found to be set.
    steps: AtomicU64,
    /// Whether it is told that the wall clock is not set.
    is_unset: AtomicBool,
    /// Downtime before the start, by the wall clock, that does not count.
    uncounted_ms: i64,
}

impl Clock {
    /// Goes on where the logs say that the last run was.
    pub fn start(source: TimeSource, past: Past) -> Self {
        let (boot_ns, wall_ms) = (source.boot_ns(), source.wall_ms());
        let (wall, mark) = (if_set(wall_ms), past.mark());
        let known = mark.and_then(|mark| {
            let same_boot = mark.boot_id == source.boot_id() && mark.boot_id != 0;
            boot_ns.checked_sub(mark.boot_ns).filter(|_| same_boot).map(|nanos| nanos / NANOS_PER_MILLI)
        });
        let mut began = match mark {
            Some(mark) => past.newest().max(mark.own.saturating_add(known.unwrap_or(0))),
            None => wall.unwrap_or(SET_FROM),
        };
        let before = mark.and_then(|mark| mark.wall);
        let mut uncounted_ms = 0;
        match (mark, before, wall, known) {
            (Some(mark), Some(before), Some(wall), None) => {
                let since = began.saturating_sub(mark.own);
                let downtime = ahead(wall, before.latest.saturating_add(since));
                if source.is_trusted() && downtime >= 0 {
                    began = began.saturating_add_signed(downtime);
                } else {
                    uncounted_ms = downtime;
                }
                log_downtime(before, since, wall, downtime, source.is_trusted());
            }
            (Some(_), None, _, None) | (Some(_), _, None, None) => tracing::warn!(
                "the machine is another or was booted, and how long no broker ran is not known: the wall clock was not set then, or is not \
                 set now; nothing counts as passed"
            ),
            _ => {}
        }
        let mut times = WallTimes::new(mark.and_then(|Mark { own, wall, .. }| {
            let Wall { shown, latest } = wall?;
            Some((ahead(shown, own), ahead(latest, own)))
        }));
        match wall {
            // What happened in the run before happened at `began` at the latest.
            Some(wall) => {
                let shown = times.of(began);
                let step = times.follow(began.saturating_add(1), ahead(wall, began));
                times.settle();
                // Of another boot more was said.
                if let (Some(_), Some(step)) = (known, step) {
                    log_step(shown, step);
                }
            }
            None => log_unset(wall_ms),
        }
        Self(Arc::new(Inner {
            source,
            began,
            boot_ns_at_start: boot_ns,
            wall: ArcSwap::from_pointee(times),
            steps: AtomicU64::new(0),
            is_unset: AtomicBool::new(wall.is_none()),
            uncounted_ms,
        }))
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        let elapsed = self.0.source.boot_ns().saturating_sub(self.0.boot_ns_at_start) / NANOS_PER_MILLI;
        self.0.began.saturating_add(elapsed)
    }

    /// Looks at the wall clock, which somebody may have set. Called about once a second.
    pub fn follow(&self) {
        let wall_ms = self.0.source.wall_ms();
        let Some(wall) = if_set(wall_ms) else {
            if !self.0.is_unset.swap(true, Relaxed) {
                log_unset(wall_ms);
            }
            return;
        };
        self.0.is_unset.store(false, Relaxed);
        let (now, known) = (self.now(), self.0.wall.load());
        let mut times = WallTimes::clone(&known);
        let step = times.follow(now, ahead(wall, now));
        if times == **known {
            return;
        }
        self.0.wall.store(Arc::new(times));
        if let Some(step) = step {
            self.0.steps.fetch_add(1, Relaxed);
            log_step(known.of(now), step);
        }
    }

    /// How often the wall clock was found to be set, which the next run is to know.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Relaxed)
    }

    /// What the next run is to know.
    pub fn mark(&self) -> Mark {
        let (own, times) = (self.now(), self.0.wall.load());
        let wall = times.latest().map(|latest| Wall {
            shown: own.saturating_add_signed(times.ahead()),
            latest: own.saturating_add_signed(latest),
        });
        Mark { own, wall, boot_id: self.0.source.boot_id(), boot_ns: self.0.source.boot_ns() }
    }

    /// The wall clock time of one of the broker's times. That of what is due may be another when the wall clock was set.
    pub fn wall(&self, at: Millis) -> Millis {
        self.0.wall.load().of(at)
    }

    /// The wall clock time that an id has which is made at one of the broker's times. It follows a wall clock that was set after a
    /// minute: ids ascend, and would stay for long where a clock was for a moment.
    pub fn id_wall(&self, at: Millis) -> Millis {
        self.0.wall.load().steady(at)
    }

    /// The same as [`Self::wall`], as RFC 3339.
    pub fn rfc3339(&self, at: Millis) -> String {
        rfc3339(self.wall(at))
    }

    /// How far the wall clock is ahead of this one, in seconds; negative when it is behind.
    pub fn skew_seconds(&self) -> f64 {
        (self.0.source.wall_ms() as f64 - self.now() as f64) / 1000.0
    }

    /// How much time passed before the start by the wall clock, and does not count, in seconds; negative when that is behind the furthest
    /// that a run has known.
    pub fn uncounted_seconds(&self) -> f64 {
        self.0.uncounted_ms as f64 / 1000.0
    }
}

impl TimeSource {
    /// The wall clock in seconds since 1970, if no HTTP answer can be dated with it. The kernel takes no such time; what is put between
    /// it and a process may.
    pub fn without_date(&self) -> Option<i64> {
        let wall_ms = self.wall_ms();
        let has_date = Millis::try_from(wall_ms).is_ok_and(wall::has_date);
        (!has_date).then_some(wall_ms / SECOND_MS as i64)
    }

    /// The wall clock as it is, for what only people read; at least 1970.
    pub fn wall(&self) -> Millis {
        Millis::try_from(self.wall_ms()).unwrap_or(0)
    }
}

/// How far one time is ahead of another.
fn ahead(one: Millis, other: Millis) -> i64 {
    // Of clocks, both are far from the ends of the range; a log that somebody made up may say anything.
    (one as i64).saturating_sub(other as i64)
}

fn wall_text(wall_ms: i64) -> String {
    Millis::try_from(wall_ms).map_or_else(|_| format!("{wall_ms} ms, before 1970"), rfc3339)
}

fn log_step(before: Millis, step: i64) {
    let (before, now) = (rfc3339(before), rfc3339(before.saturating_add_signed(step)));
    match step.unsigned_abs() {
        0..=DAY_MS => {
            tracing::info!(before, now, "the wall clock was set; leases, delays and lives go on as they were")
        }
        _ => tracing::warn!(
            before,
            now,
            "the wall clock was set by more than a day; leases, delays and lives go on as they were"
        ),
    }
}

fn log_unset(wall_ms: i64) {
    tracing::warn!(
        wall_clock = wall_text(wall_ms),
        "the wall clock is not set: the broker tells times by the last that it knew; set the clock, and run NTP"
    );
}

fn log_downtime(before: Wall, since: Millis, wall: Millis, downtime: i64, is_trusted: bool) {
    let Wall { shown, latest } = before;
    let (last_run, now) = (rfc3339(shown.saturating_add(since)), rfc3339(wall));
    // Where it was set back, the last run does not tell from when on time counts.
    let furthest = (latest > shown).then(|| rfc3339(latest.saturating_add(since)));
    let said = downtime_text(downtime, is_trusted);
    match downtime.unsigned_abs() {
        0..SECOND_MS => {}
        SECOND_MS..=DAY_MS => tracing::info!(last_run, furthest, now, "{said}"),
        _ => tracing::warn!(last_run, furthest, now, "{said}; if the clock is wrong, set it"),
    }
}

/// What becomes of the time for which no broker ran, of which only the wall clock tells.
fn downtime_text(downtime: i64, is_trusted: bool) -> String {
    let far = downtime.unsigned_abs() > DAY_MS;
    let place = match (downtime < 0, far) {
        (true, true) => {
            "the wall clock is more than a day behind the furthest that a run has known, after another boot"
        }
        (true, false) => "the wall clock is behind the furthest that a run has known, after another boot",
        (false, true) => {
            "the wall clock is more than a day ahead of where the last run was, after another boot"
        }
        (false, false) => {
            "the machine is another or was booted, and only the wall clock tells how long no broker ran"
        }
    };
    let counted = match (downtime < 0, is_trusted) {
        (true, true) => "nothing counts as passed until it is ahead of that",
        (true, false) => "nothing counts as passed",
        (false, true) => "that counts as passed",
        (false, false) => "that does not count as passed",
    };
    format!("{place}: {counted}")
}

#[cfg(test)]
impl Clock {
    /// Of a machine of the test's own.
    pub(crate) fn of_test() -> Self {
        Self::start(TimeSource::of_test(1_796_000_000_000), Past::default())
    }

    /// So much time passes: that of a test's machine at once, and the system's by itself.
    pub(crate) fn wait(&self, time: Millis) {
        self.0.source.wait(std::time::Duration::from_millis(time));
    }
}

#[cfg(test)]
mod tests;
