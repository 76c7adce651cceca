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

use crate::{
    clock::Millis,
    log::Log,
    shard::{Progress, Shard},
    shared::Budget,
    worker::SharedShard,
};

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
pub async fn commit_groups<L: Log>(shard: SharedShard<L>, failed: CancellationToken) {
    let wake = shard.with(|shard| shard.wakers().commit);
    // There may be older logs to copy.
    let mut reclaiming = Progress::More;
    let mut sync_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = poll_fn(|context| shard.with(|shard| shard.poll_news(context))) => {}
            () = next_step(&shard, reclaiming) => {}
            () = until(sync_at) => {
                sync_at = None;
                shard.with(|shard| shard.sync());
            }
        }
        gather(&shard).await;
        let (has_failed, needs_sync, more) = shard.with(|shard| {
            shard.commit();
            // Under load, nothing else runs before the next wake. Progress of the step wakes this task above.
            let more = match shard.reclaim_step(&mut Context::from_waker(Waker::noop())) {
                Ok(Progress::Idle) if shard.has_older_log() => Progress::Later(OLDER_AGAIN_AFTER),
                more => more.unwrap_or(Progress::Idle),
            };
            (shard.has_failed(), shard.needs_sync(), more)
        });
        if has_failed {
            shard.with(|shard| shard.commit());
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
async fn next_step<L: Log>(shard: &SharedShard<L>, reclaiming: Progress) {
    match reclaiming {
        Progress::Idle => pending().await,
        // Requests run in between.
        Progress::More => yield_now().await,
        Progress::Waiting => poll_fn(|context| shard.with(|shard| shard.poll_reclaim(context))).await,
        Progress::Later(pause) => sleep(Duration::from_millis(pause)).await,
    }
}

/// Commits everything appended: the last task of a shard.
pub async fn commit_everything<L: Log>(shard: &SharedShard<L>) {
    shard.with(Shard::mark_end);
    let begun = || {
        shard.with(|shard| {
            shard.sync();
            shard.is_settled()
        })
    };
    while !begun() {
        let news = |shard: &mut Shard<L>, context: &mut Context<'_>| {
            if shard.poll_commits(context).is_ready() {
                Poll::Ready(())
            } else {
                shard.poll_may_commit(context)
            }
        };
        poll_fn(|context| shard.with(|shard| news(shard, context))).await;
    }
    shard.with(|shard| {
        shard.commit();
        shard.end();
    });
}

/// Lets requests that have arrived join the open batch.
async fn gather<L: Log>(shard: &SharedShard<L>) {
    let mut bytes = 0;
    for _ in 0..GATHER_TURNS {
        let grown = shard.with(|shard| shard.open_bytes());
        if grown == bytes {
            break;
        }
        bytes = grown;
        yield_now().await;
    }
}

/// Serves receivers that wait for memory, whenever some is freed.
pub async fn serve_when_memory_is_free<L: Log>(shard: SharedShard<L>, memory: Arc<Budget>) {
    let lacking = shard.with(|shard| shard.wakers().memory);
    loop {
        lacking.notified().await;
        loop {
            // Registered before the check, so that no release of memory is missed.
            let freed = memory.freed();
            if !shard.with(|shard| shard.serve_starved()) {
                break;
            }
            freed.await;
        }
    }
}

/// Processes events of time when they are due, and follows the wall clock. Never sleeps for long: the broker's time
/// continues while the machine sleeps, which a timer does not notice.
pub async fn follow_time<L: Log>(shard: SharedShard<L>) {
    let wake = shard.with(|shard| shard.wakers().timer);
    let mut follow = interval(FOLLOW_EVERY);
    follow.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = shard.with(|shard| shard.next_wake());
        tokio::select! {
            biased;
            _ = follow.tick() => shard.with(Shard::follow_clock),
            () = wake.notified() => {}
            () = due_in(next) => {
                shard.with(Shard::elapse);
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
