//! The end of a service: begun once, and known to everybody who serves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Whether the end has begun. Every clone tells the same.
///
/// A token alone would do; but it takes a lock to look at one, and every request looks more than once.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Drain {
    /// It has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The end begins. Once it has, it has begun for good.
    pub fn begin(&self) {
        // Whoever is woken finds that it has begun.
        self.begun.store(true, SeqCst);
        self.token.cancel();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Waits until it begins.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_the_end_is_told_and_it_does_not_end() {
        let drain = Drain::new();
        let told = tokio::spawn({
            let drain = drain.clone();
            async move {
                drain.begun().await;
                drain.has_begun()
            }
        });
        tokio::task::yield_now().await;
        assert!(!told.is_finished() && !drain.has_begun());
        drain.begin();
        assert!(told.await.unwrap());
        drain.begun().await;
    }
}
