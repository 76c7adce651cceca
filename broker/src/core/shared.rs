//! A core as several owners hold it.

use std::sync::{Arc, Mutex};

use super::Core;
use crate::log::{DiskLog, Log};

/// A core, shared by the requests of its runtime thread. The lock is never contended there: it says to the compiler what
/// one thread guarantees.
///
/// Architecture Invariant: only the data runtime's thread calls [`SharedCore::with`]; others use
/// [`super::CoreHandle`], so that a slow disk never blocks a probe.
pub struct SharedCore<L = DiskLog>(Arc<Mutex<Core<L>>>);

impl<L> Clone for SharedCore<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Ends the process when a panic leaves a core half changed: what is on disk is whole, what is in memory may not be.
struct WholeOrNothing;

impl Drop for WholeOrNothing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a panic in a channel or its log: the process ends, and starts again from its disk"
            );
            std::process::abort();
        }
    }
}

impl<L: Log> SharedCore<L> {
    /// Shares a core.
    pub fn new(core: Core<L>) -> Self {
        Self(Arc::new(Mutex::new(core)))
    }

    /// The core, for a test that does one thing after another.
    #[cfg(test)]
    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Core<L>> {
        self.0.lock().unwrap()
    }

    /// Does something with the core, to the end: there is nothing to await in it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Core<L>) -> T) -> T {
        let mut core = self.0.lock().expect("a panic under this lock ends the process");
        let _whole = WholeOrNothing;
        act(&mut core)
    }
}
