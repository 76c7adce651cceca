//! Draining: the end of a service, seen by every request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Whether draining has begun. Clones share one state.
///
/// A `CancellationToken` alone would do, but reading it takes a lock, and every request reads the state more than once.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Drain {
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain. It cannot be undone.
    pub fn begin(&self) {
        // Set first: a task that the token wakes must see it.
        self.begun.store(true, SeqCst);
        self.token.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_tasks_wake_when_draining_begins_and_it_never_ends() {
        let drain = Drain::new();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move {
                drain.begun().await;
                drain.has_begun()
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && !drain.has_begun());
        drain.begin();
        assert!(waiting.await.unwrap());
        drain.begun().await;
    }
}
