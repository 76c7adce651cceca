//! A shard that several owners on one thread share.

use std::sync::{Arc, Mutex};

use crate::{
    log::{DiskLog, Log},
    shard::Shard,
};

/// A shard, shared by the requests of its worker thread. The lock is never contended: it proves to the compiler that
/// only one thread uses the shard.
///
/// Architecture Invariant: only the worker's thread calls [`SharedShard::with`]; others use [`crate::worker::Mailbox`], so that
/// a slow disk never blocks a probe.
pub struct SharedShard<L = DiskLog>(Arc<Mutex<Shard<L>>>);

impl<L> Clone for SharedShard<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Aborts the process when a panic leaves a shard half changed: the disk is consistent, the memory may not be.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "panic in a channel or its log; the process aborts, and recovers from its disk at the next start"
            );
            std::process::abort();
        }
    }
}

impl<L: Log> SharedShard<L> {
    pub fn new(shard: Shard<L>) -> Self {
        Self(Arc::new(Mutex::new(shard)))
    }

    /// The shard, for a test that calls one operation after another.
    #[cfg(test)]
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Shard<L>> {
        self.0.lock().unwrap()
    }

    /// Runs a closure with the shard; it cannot await.
    pub fn with<T>(&self, act: impl FnOnce(&mut Shard<L>) -> T) -> T {
        let mut shard = self.0.lock().expect("a panic under this lock ends the process");
        let _guard = AbortOnPanic;
        act(&mut shard)
    }
}
