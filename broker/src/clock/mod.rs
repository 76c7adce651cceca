//! The broker's clock: a time of its own, which never runs backwards and which nobody can set.
//!
//! Within a run it advances with `CLOCK_BOOTTIME`, which includes the time that the machine slept. At the next start it
//! continues from where the last run ended, plus the time in between if that is known. Within one boot of the machine,
//! the boot clock measures it. After a reboot, or on another machine, only the wall clock does, and it may be wrong: a
//! machine without a battery starts in 1970. Such downtime is not counted, unless an administrator vouches for the wall
//! clock (`--count-downtime`). TTLs, leases, delays and windows are counted by this clock, so a wrong wall clock ends
//! none of them early and delays none of them.
//!
//! Downtime is not added later either, when the wall clock has proved to be right: leases and delays that were granted
//! since the start would end too early.
//!
//! [`wall`] converts to wall clock times for people. [`mark`] is the record of the time that one run leaves for the
//! next.

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

/// Milliseconds since 1970: of the broker's own clock, which was set by the wall clock at the first start, or of the
/// wall clock.
pub type Millis = u64;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// The wall clock always moves by less than this: NTP slews it.
const SECOND_MS: u64 = 1000;
/// A step of the wall clock beyond this is unusual enough for a warning.
const DAY_MS: u64 = 24 * 3_600_000;

/// End of a span that begins now: never before the whole span has passed. Times are whole milliseconds and `now` is
/// rounded down, so one more is added.
pub fn after(now: Millis, span: Millis) -> Millis {
    now.saturating_add(span).saturating_add(1)
}

/// A running clock. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: TimeSource,
    /// The broker's time at the start.
    began: Millis,
    /// The boot clock at the start.
    boot_ns_at_start: u64,
    wall: ArcSwap<WallTimes>,
    /// Number of times that the wall clock was set.
    steps: AtomicU64,
    /// Whether the log has reported that the wall clock is not set.
    is_unset: AtomicBool,
    /// Downtime before the start, by the wall clock, that was not counted.
    uncounted_ms: i64,
}

impl Clock {
    /// Starts the clock from the times in the logs of earlier runs.
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
                "after a reboot or on another machine, the downtime is unknown: the wall clock was not set then, or is not set \
                 now; no downtime is counted"
            ),
            _ => {}
        }
        let mut times = WallTimes::new(mark.and_then(|Mark { own, wall, .. }| {
            let Wall { shown, latest } = wall?;
            Some((ahead(shown, own), ahead(latest, own)))
        }));
        match wall {
            // Events of the run before happened at `began` at the latest.
            Some(wall) => {
                let shown = times.of(began);
                let step = times.follow(began.saturating_add(1), ahead(wall, began));
                times.settle();
                // After a reboot, `log_downtime` has reported more.
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

    pub fn now(&self) -> Millis {
        let elapsed = self.0.source.boot_ns().saturating_sub(self.0.boot_ns_at_start) / NANOS_PER_MILLI;
        self.0.began.saturating_add(elapsed)
    }

    /// Reads the wall clock, which someone may have set. Called about once a second.
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

    /// Number of times that the wall clock was set; each calls for a new mark in the log.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Relaxed)
    }

    /// The mark for the next run.
    pub fn mark(&self) -> Mark {
        let (own, times) = (self.now(), self.0.wall.load());
        let wall = times.latest().map(|latest| Wall {
            shown: own.saturating_add_signed(times.ahead()),
            latest: own.saturating_add_signed(latest),
        });
        Mark { own, wall, boot_id: self.0.source.boot_id(), boot_ns: self.0.source.boot_ns() }
    }

    /// The wall clock time of one of the broker's times. For a time in the future it changes when the wall clock is
    /// set.
    pub fn wall(&self, at: Millis) -> Millis {
        self.0.wall.load().of(at)
    }

    /// The wall clock time in an id that is made at one of the broker's times. It follows a wall clock that was set
    /// only after a minute: ids ascend, so ids of a short jump ahead would hold back all later ids.
    pub fn id_wall(&self, at: Millis) -> Millis {
        self.0.wall.load().steady(at)
    }

    /// [`Self::wall`] as RFC 3339.
    pub fn rfc3339(&self, at: Millis) -> String {
        rfc3339(self.wall(at))
    }

    /// The wall clock's lead over this clock, in seconds; negative when it is behind.
    pub fn skew_seconds(&self) -> f64 {
        (self.0.source.wall_ms() as f64 - self.now() as f64) / 1000.0
    }

    /// Downtime before the start that was not counted, by the wall clock, in seconds; negative when the wall clock is
    /// behind the latest known.
    pub fn uncounted_seconds(&self) -> f64 {
        self.0.uncounted_ms as f64 / 1000.0
    }
}

impl TimeSource {
    /// The wall clock in seconds since 1970, if it cannot be written as an HTTP date. The kernel accepts no such time,
    /// but a layer between kernel and process may show one.
    pub fn without_date(&self) -> Option<i64> {
        let wall_ms = self.wall_ms();
        let has_date = Millis::try_from(wall_ms).is_ok_and(wall::has_date);
        (!has_date).then_some(wall_ms / SECOND_MS as i64)
    }

    /// The wall clock, for times that only people read; at least 1970.
    pub fn wall(&self) -> Millis {
        Millis::try_from(self.wall_ms()).unwrap_or(0)
    }
}

/// How far `one` is ahead of `other`.
fn ahead(one: Millis, other: Millis) -> i64 {
    // Times of real clocks are far from the ends of the range; a forged log may have any.
    (one as i64).saturating_sub(other as i64)
}

fn wall_text(wall_ms: i64) -> String {
    Millis::try_from(wall_ms).map_or_else(|_| format!("{wall_ms} ms, before 1970"), rfc3339)
}

fn log_step(before: Millis, step: i64) {
    let (before, now) = (rfc3339(before), rfc3339(before.saturating_add_signed(step)));
    match step.unsigned_abs() {
        0..=DAY_MS => {
            tracing::info!(before, now, "the wall clock was set; leases, delays and TTLs are not affected")
        }
        _ => tracing::warn!(
            before,
            now,
            "the wall clock was set by more than a day; leases, delays and TTLs are not affected"
        ),
    }
}

fn log_unset(wall_ms: i64) {
    tracing::warn!(
        wall_clock = wall_text(wall_ms),
        "the wall clock is not set, times are shown by the last known clock; set the clock and run NTP"
    );
}

fn log_downtime(before: Wall, since: Millis, wall: Millis, downtime: i64, is_trusted: bool) {
    let Wall { shown, latest } = before;
    let (last_run, now) = (rfc3339(shown.saturating_add(since)), rfc3339(wall));
    // Where the clock was set back, downtime counts from the latest known time, not from the end of the last run.
    let furthest = (latest > shown).then(|| rfc3339(latest.saturating_add(since)));
    let text = downtime_text(downtime, is_trusted);
    match downtime.unsigned_abs() {
        0..SECOND_MS => {}
        SECOND_MS..=DAY_MS => tracing::info!(last_run, furthest, now, "{text}"),
        _ => tracing::warn!(last_run, furthest, now, "{text}; if the clock is wrong, set it"),
    }
}

/// Describes the downtime that only the wall clock measures, and whether it is counted.
fn downtime_text(downtime: i64, is_trusted: bool) -> String {
    let far = downtime.unsigned_abs() > DAY_MS;
    let place = match (downtime < 0, far) {
        (true, true) => {
            "after a reboot or on another machine, the wall clock is more than a day behind the latest known"
        }
        (true, false) => "after a reboot or on another machine, the wall clock is behind the latest known",
        (false, true) => {
            "after a reboot or on another machine, the wall clock is more than a day ahead of the last run"
        }
        (false, false) => "after a reboot or on another machine, only the wall clock measures the downtime",
    };
    let counted = match (downtime < 0, is_trusted) {
        (true, true) => "no downtime is counted until it has caught up",
        (true, false) => "no downtime is counted",
        (false, true) => "the downtime is counted as passed",
        (false, false) => "the downtime is not counted as passed",
    };
    format!("{place}: {counted}")
}

#[cfg(test)]
impl Clock {
    /// A clock of a simulated machine.
    pub(crate) fn of_test() -> Self {
        Self::start(TimeSource::of_test(1_796_000_000_000), Past::default())
    }

    /// Lets time pass: at once on a simulated machine, by itself on the real one.
    pub(crate) fn wait(&self, time: Millis) {
        self.0.source.wait(std::time::Duration::from_millis(time));
    }
}

#[cfg(test)]
mod tests;
