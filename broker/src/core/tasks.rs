//! What runs beside the requests on a core's thread: commits, time and the copying of live records.

use std::{future::pending, time::Duration};

use tokio::{
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::SharedCore;

/// How often the committer lets other tasks run while the open group grows. A group costs one sync however large it is,
/// so a few turns gather all requests that are already in the sockets; more turns would only delay them.
const GATHER_TURNS: usize = 8;

/// What was written without a sync (leases, releases) is synced within this.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// Commits the open group whenever it has records, and copies live records in between. Ends when the log fails, and then
/// cancels `failed`.
pub async fn commit_groups(core: SharedCore, failed: CancellationToken) {
    let wake = core.with(|core| core.wakers().commit);
    let mut reclaiming = false;
    let mut sync_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = async { if reclaiming { yield_now().await } else { pending().await } } => {}
            () = async { match sync_at { Some(at) => sleep_until(at).await, None => pending().await } } => {
                core.with(|core| core.sync());
            }
        }
        gather(&core).await;
        let (has_failed, needs_sync, more) = core.with(|core| {
            core.commit();
            let more = core.reclaim_step().unwrap_or(false);
            (core.has_failed(), core.needs_sync(), more)
        });
        if has_failed {
            failed.cancel();
            return;
        }
        reclaiming = more;
        sync_at = needs_sync.then(|| sync_at.unwrap_or_else(|| Instant::now() + SYNC_WITHIN));
    }
}

/// Lets requests that have arrived join the open group.
async fn gather(core: &SharedCore) {
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

/// Does what time brings about, when its time has come. Sleeps until then, however far that is.
pub async fn follow_time(core: SharedCore) {
    let wake = core.with(|core| core.wakers().timer);
    loop {
        match core.with(|core| core.next_wake()) {
            None => wake.notified().await,
            // Requests have their turn between two parts of a long work.
            Some(0) => {
                core.with(|core| core.elapse());
                yield_now().await;
            }
            Some(millis) => tokio::select! {
                () = wake.notified() => {}
                () = sleep(Duration::from_millis(millis)) => {}
            },
        }
    }
}
