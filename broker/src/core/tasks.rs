//! Tasks beside the requests on a worker's thread: commits, events of time, and reclaiming.

use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Core, Progress, SharedCore};
use crate::{clock::Millis, log::Log, shared::Budget};

/// Turns that other tasks get while the open batch grows. A batch costs one sync whatever its size, so a few turns
/// gather all requests that are already in the sockets; more turns would only delay them.
const GATHER_TURNS: usize = 8;

/// Records written without a sync (leases, releases) are synced within this time.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// Interval at which the clock follows the wall clock. It is the resolution of the skew metric, and a timer may be late
/// by it at most.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Pause before older logs are tried again for which there was no room, in milliseconds.
const OLDER_AGAIN_AFTER: Millis = 500;

/// Commits the open batch whenever it has records and the log accepts it, reports committed batches to their answers,
/// and reclaims space in between. Ends when the log fails, and then cancels `failed`.
pub async fn commit_groups<L: Log>(core: SharedCore<L>, failed: CancellationToken) {
    let wake = core.with(|core| core.wakers().commit);
    // There may be older logs to copy.
    let mut reclaiming = Progress::More;
    let mut sync_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = poll_fn(|context| core.with(|core| core.poll_news(context))) => {}
            () = next_step(&core, reclaiming) => {}
            () = until(sync_at) => {
                sync_at = None;
                core.with(|core| core.sync());
            }
        }
        gather(&core).await;
        let (has_failed, needs_sync, more) = core.with(|core| {
            core.commit();
            // Under load, nothing else runs before the next wake. Progress of the step wakes this task above.
            let more = match core.reclaim_step(&mut Context::from_waker(Waker::noop())) {
                Ok(Progress::Idle) if core.has_older_log() => Progress::Later(OLDER_AGAIN_AFTER),
                more => more.unwrap_or(Progress::Idle),
            };
            (core.has_failed(), core.needs_sync(), more)
        });
        if has_failed {
            core.with(|core| core.commit());
            failed.cancel();
            return;
        }
        reclaiming = more;
        sync_at = needs_sync.then(|| sync_at.unwrap_or_else(|| Instant::now() + SYNC_WITHIN));
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Waits until another step of reclaiming is due.
async fn next_step<L: Log>(core: &SharedCore<L>, reclaiming: Progress) {
    match reclaiming {
        Progress::Idle => pending().await,
        // Requests run in between.
        Progress::More => yield_now().await,
        Progress::Waiting => poll_fn(|context| core.with(|core| core.poll_reclaim(context))).await,
        Progress::Later(pause) => sleep(Duration::from_millis(pause)).await,
    }
}

/// Commits everything appended: the last task of a shard.
pub async fn commit_everything<L: Log>(core: &SharedCore<L>) {
    core.with(Core::mark_end);
    let begun = || {
        core.with(|core| {
            core.sync();
            core.is_settled()
        })
    };
    while !begun() {
        let news = |core: &mut Core<L>, context: &mut Context<'_>| {
            if core.poll_commits(context).is_ready() {
                Poll::Ready(())
            } else {
                core.poll_may_commit(context)
            }
        };
        poll_fn(|context| core.with(|core| news(core, context))).await;
    }
    core.with(|core| {
        core.commit();
        core.end();
    });
}

/// Lets requests that have arrived join the open batch.
async fn gather<L: Log>(core: &SharedCore<L>) {
    let mut bytes = 0;
    for _ in 0..GATHER_TURNS {
        let grown = core.with(|core| core.open_bytes());
        if grown == bytes {
            break;
        }
        bytes = grown;
        yield_now().await;
    }
}

/// Serves receivers that wait for memory, whenever some is freed.
pub async fn serve_when_memory_is_free<L: Log>(core: SharedCore<L>, memory: Arc<Budget>) {
    let lacking = core.with(|core| core.wakers().memory);
    loop {
        lacking.notified().await;
        loop {
            // Registered before the check, so that no release of memory is missed.
            let freed = memory.freed();
            if !core.with(|core| core.serve_starved()) {
                break;
            }
            freed.await;
        }
    }
}

/// Processes events of time when they are due, and follows the wall clock. Never sleeps for long: the broker's time
/// continues while the machine sleeps, which a timer does not notice.
pub async fn follow_time<L: Log>(core: SharedCore<L>) {
    let wake = core.with(|core| core.wakers().timer);
    let mut follow = interval(FOLLOW_EVERY);
    follow.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = core.with(|core| core.next_wake());
        tokio::select! {
            biased;
            _ = follow.tick() => core.with(Core::follow_clock),
            () = wake.notified() => {}
            () = due_in(next) => {
                core.with(Core::elapse);
                // Requests run between two parts of a long batch of events.
                yield_now().await;
            }
        }
    }
}

async fn due_in(millis: Option<Millis>) {
    match millis {
        None => pending().await,
        Some(0) => {}
        Some(millis) => sleep(Duration::from_millis(millis)).await,
    }
}
