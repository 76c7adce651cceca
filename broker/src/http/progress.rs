//! How an answer gets on. While it waits for its peer, the peer has to take it at a least rate.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// How fast a body has to come or to be taken after its first moments, in bytes a second: slower than any link in use, and
/// fast enough that nobody holds the memory of others for long with next to nothing.
pub const BYTES_PER_SECOND_MIN: u64 = 4096;

/// The time that so many bytes are worth.
pub fn worth(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN)
}

/// When a wait ends that began at one moment and in which something was last taken at another: when it has lasted longer than what was
/// taken is worth, or when nothing was taken for too long. What came in a burst is no credit for a silence.
pub(super) fn wait_ends_at(since: Instant, last: Instant, bytes: u64, patience: Duration) -> Instant {
    (since + patience + worth(bytes)).min(last + patience)
}

/// A wait for the peer to take what there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    since: Instant,
    last: Instant,
    taken: u64,
}

impl Stall {
    /// The peer does not take more for now.
    pub(super) fn begun() -> Self {
        let now = Instant::now();
        Self { since: now, last: now, taken: 0 }
    }

    /// It took some.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        self.last = Instant::now();
    }

    /// When the peer is given up.
    pub(super) fn ends_at(&self, patience: Duration) -> Instant {
        wait_ends_at(self.since, self.last, self.taken, patience)
    }
}

/// The progress of the answer of one HTTP/2 stream, whose window its peer may keep shut while other streams go on.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// Milliseconds from the beginning to when the answer began to wait for its peer, and one; 0 while it does not.
    waits_since: AtomicU64,
    /// The same, to when the peer last took some.
    last: AtomicU64,
    taken: AtomicU64,
    /// Bytes that were handed to the connection and not taken yet.
    handed: AtomicU64,
    /// Who goes on when all were taken.
    waker: AtomicWaker,
}

impl Progress {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let (waits_since, last, taken, handed) = (zero(), zero(), zero(), zero());
        Self { began: Instant::now(), waits_since, last, taken, handed, waker: AtomicWaker::new() }
    }

    /// There is something for the peer to take.
    pub(super) fn waits_for_peer(&self) {
        if self.waits_since.load(Relaxed) == 0 {
            let now = self.now();
            self.taken.store(0, Relaxed);
            self.last.store(now, Relaxed);
            self.waits_since.store(now, Relaxed);
        }
    }

    /// The peer has taken all that there was, and more is still to be made.
    pub(super) fn waits_for_us(&self) {
        self.waits_since.store(0, Relaxed);
    }

    /// So many bytes are on their way.
    pub(super) fn hands(&self, bytes: usize) {
        self.handed.fetch_add(bytes as u64, Relaxed);
    }

    /// The peer took some.
    pub(super) fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
        self.last.store(self.now(), Relaxed);
        if self.handed.fetch_sub(bytes as u64, Relaxed) == bytes as u64 {
            self.waker.wake();
        }
    }

    /// Waits until all that was handed over has been taken.
    pub(super) fn poll_taken(&self, context: &Context<'_>) -> Poll<()> {
        if self.handed.load(Relaxed) == 0 {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        // It may have been taken between the two looks.
        if self.handed.load(Relaxed) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When the peer is given up; never while the answer does not wait for it.
    pub(super) fn ends_at(&self, patience: Duration) -> Option<Instant> {
        let at = |millis: u64| self.began + Duration::from_millis(millis);
        let since = self.waits_since.load(Relaxed).checked_sub(1)?;
        let last = self.last.load(Relaxed).saturating_sub(1);
        Some(wait_ends_at(at(since), at(last), self.taken.load(Relaxed), patience))
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_peer_has_a_second_more_for_each_four_kibibytes_that_it_takes() {
        let began = Instant::now();
        let progress = Progress::new();
        progress.waits_for_peer();
        advance(Duration::from_secs(20)).await;
        progress.waits_for_peer();
        progress.hands(8192);
        progress.took(8192);
        assert_eq!(progress.ends_at(PATIENCE), Some(began + PATIENCE + Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_peer_took_in_a_burst_is_no_credit_for_its_silence() {
        let began = Instant::now();
        let progress = Progress::new();
        progress.waits_for_peer();
        progress.hands(1 << 20);
        progress.took(1 << 20);
        assert_eq!(progress.ends_at(PATIENCE), Some(began + PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_for_more_to_be_made_never_ends_because_of_its_peer() {
        let progress = Progress::new();
        assert_eq!(progress.ends_at(PATIENCE), None);
        progress.waits_for_peer();
        progress.waits_for_us();
        assert_eq!(progress.ends_at(PATIENCE), None);
        advance(Duration::from_secs(100)).await;
        progress.waits_for_peer();
        assert_eq!(progress.ends_at(PATIENCE), Some(Instant::now() + PATIENCE));
    }
}
