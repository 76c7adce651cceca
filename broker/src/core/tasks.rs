//! What runs beside the requests on a core's thread: commits, time and the copying of live records.

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

/// How often the committer lets other tasks run while the open group grows. A group costs one sync however large it is,
/// so a few turns gather all requests that are already in the sockets; more turns would only delay them.
const GATHER_TURNS: usize = 8;

/// What was written without a sync (leases, releases) is synced within this.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// How often the clock is followed: as the wall clock's skew is told, and no later than a delay of a second may be noticed.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// When older logs are looked at again for which there was no room, in milliseconds.
const OLDER_AGAIN_AFTER: Millis = 500;

/// Commits the open group whenever it has records and the log takes it, tells who waits when groups are committed, and
/// copies live records in between. Ends when the log fails, and then cancels `failed`.
pub async fn commit_groups<L: Log>(core: SharedCore<L>, failed: CancellationToken) {
    let wake = core.with(|core| core.wakers().commit);
    // There may be older logs, which nobody writes to.
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
            // Under load nothing else comes before the next wake. What it waits for wakes this task above.
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

/// Until another step of giving space back can be done, or was.
async fn next_step<L: Log>(core: &SharedCore<L>, reclaiming: Progress) {
    match reclaiming {
        Progress::Idle => pending().await,
        // Requests have their turn in between.
        Progress::More => yield_now().await,
        Progress::Waiting => poll_fn(|context| core.with(|core| core.poll_reclaim(context))).await,
        Progress::Later(pause) => sleep(Duration::from_millis(pause)).await,
    }
}

/// Commits everything there is: the last thing that a core does.
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

/// Lets requests that have arrived join the open group.
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

/// Serves receivers that wait for memory, when some is free.
pub async fn serve_when_memory_is_free<L: Log>(core: SharedCore<L>, memory: Arc<Budget>) {
    let lacking = core.with(|core| core.wakers().memory);
    loop {
        lacking.notified().await;
        loop {
            // What is given back from here on is told.
            let freed = memory.freed();
            if !core.with(|core| core.serve_those_without_memory()) {
                break;
            }
            freed.await;
        }
    }
}

/// Does what time brings about, when its time has come, and follows the wall clock. Never sleeps for long: the broker's time goes on
/// while the machine sleeps, which a timer does not notice.
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
                // Requests have their turn between two parts of a long work.
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
