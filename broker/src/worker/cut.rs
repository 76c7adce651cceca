//! A cut through all logs of a broker at one moment, for a backup.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;

use crate::{
    log::{DiskLog, Sync, disk::LogSnapshot},
    shard::{ShardGone, WorkFailed},
    worker::Shards,
};

/// Time that workers wait for one another: longer than any sync of a working disk. A worker that has ended never
/// arrives.
const MEET_WITHIN: Duration = Duration::from_secs(10);

/// Where workers wait until all have arrived.
struct CutBarrier {
    missing: Mutex<usize>,
    all_there: Condvar,
}

impl CutBarrier {
    /// Waits for the others; false if one does not arrive in time.
    fn come(&self) -> bool {
        // A count cannot be left half changed.
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing -= 1;
        if *missing == 0 {
            self.all_there.notify_all();
            return true;
        }
        let waited = self.all_there.wait_timeout_while(missing, MEET_WITHIN, |missing| *missing > 0);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shards<DiskLog> {
    /// A cut through all logs, older ones first; it has everything acknowledged before the call. All workers stand
    /// still at the same time, so a message between two shards is in both logs or in relay. They stand still until the
    /// slowest of them has arrived.
    pub async fn cut(&self) -> Result<Vec<LogSnapshot>, WorkFailed> {
        for shard in self.all() {
            let everything = shard.run(|shard| {
                shard.sync();
                shard.ticket_so_far(Sync::Now)
            });
            everything.await?.wait().await?;
        }
        let missing = Mutex::new(self.all().len());
        let meeting = Arc::new(CutBarrier { missing, all_there: Condvar::new() });
        let cuts = self.all().iter().map(|shard| {
            let meeting = meeting.clone();
            shard.run(move |shard| if meeting.come() { Ok(shard.cut()) } else { Err(ShardGone) })
        });
        let mut all = Vec::new();
        for cut in try_join_all(cuts).await? {
            let (older, own) = cut??;
            if all.is_empty() {
                all.push(older);
            }
            all.push(own);
        }
        Ok(all)
    }
}
