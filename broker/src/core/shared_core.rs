//! A shard that several owners on one thread share.

use std::sync::{Arc, Mutex};

use super::Core;
use crate::log::{DiskLog, Log};

/// A shard, shared by the requests of its worker thread. The lock is never contended: it proves to the compiler that
/// only one thread uses the shard.
///
/// Architecture Invariant: only the worker's thread calls [`SharedCore::with`]; others use [`super::Mailbox`], so that
/// a slow disk never blocks a probe.
pub struct SharedCore<L = DiskLog>(Arc<Mutex<Core<L>>>);

impl<L> Clone for SharedCore<L> {
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

impl<L: Log> SharedCore<L> {
    pub fn new(core: Core<L>) -> Self {
        Self(Arc::new(Mutex::new(core)))
    }

    /// The shard, for a test that calls one operation after another.
    #[cfg(test)]
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Core<L>> {
        self.0.lock().unwrap()
    }

    /// Runs a closure with the shard; it cannot await.
    pub fn with<T>(&self, act: impl FnOnce(&mut Core<L>) -> T) -> T {
        let mut core = self.0.lock().expect("a panic under this lock ends the process");
        let _guard = AbortOnPanic;
        act(&mut core)
    }
}
