//! A cut through all logs of a broker at one moment.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;

use super::{Core, CoreGone, Cores, StoreFailed, WorkFailed};
use crate::log::{DiskLog, Sync, disk::Cut};

/// How long cores wait for one another. Longer than any sync of a disk that still works takes; one that has ended does not
/// come at all.
const MEET_WITHIN: Duration = Duration::from_secs(10);

/// Where cores stand still until all of them do.
struct Meeting {
    missing: Mutex<usize>,
    all_there: Condvar,
}

impl Meeting {
    /// Waits for the others; false when one does not come.
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

impl Cores<DiskLog> {
    /// The logs as they are now, older ones first: all that was answered by now is in them. What one core has told another is
    /// in both or on its way, because all stand still at the same time: for as long as one takes to come to it.
    pub async fn cut(&self) -> Result<Vec<Cut>, WorkFailed> {
        for core in self.all() {
            let everything = core.run(|core| {
                core.sync();
                core.everything_so_far(Sync::Now)
            });
            everything.await?.wait().await?;
        }
        let missing = Mutex::new(self.all().len());
        let meeting = Arc::new(Meeting { missing, all_there: Condvar::new() });
        let cuts = self.all().iter().map(|core| {
            let meeting = meeting.clone();
            core.run(move |core| if meeting.come() { Ok(core.cut()) } else { Err(CoreGone) })
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

impl Core<DiskLog> {
    /// The older logs and its own as they are now: see [`DiskLog::cut`].
    fn cut(&mut self) -> Result<(Cut, Cut), StoreFailed> {
        self.alive()?;
        Ok((self.log.cut_older(), self.log.cut()))
    }
}
