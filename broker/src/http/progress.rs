//! The progress of an answer. While the answer waits for its peer, the peer must read it at a minimum rate.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// The minimum rate of a request's or answer's body after the grace period, in bytes per second. It is slower than any
/// link in use, and fast enough that a client with a few bytes cannot hold shared memory for long.
pub const BYTES_PER_SECOND_MIN: u64 = 4096;

/// The time that this many bytes take at the minimum rate.
pub fn worth(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN)
}

/// When a wait times out that began at `since`, with the last progress at `last` and `bytes` in all. It times out if it
/// lasts longer than the bytes allow, or if there was no progress for `patience`. So bytes that came in a burst do not
/// pay for a silence.
pub(super) fn wait_ends_at(since: Instant, last: Instant, bytes: u64, patience: Duration) -> Instant {
    (since + patience + worth(bytes)).min(last + patience)
}

/// A wait for the peer to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    since: Instant,
    last: Instant,
    bytes: u64,
}

impl Stall {
    /// Starts when the peer reads no more.
    pub(super) fn begun() -> Self {
        let now = Instant::now();
        Self { since: now, last: now, bytes: 0 }
    }

    /// Records that the peer has read bytes.
    pub(super) fn record_progress(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.last = Instant::now();
    }

    /// When the wait times out.
    pub(super) fn ends_at(&self, patience: Duration) -> Instant {
        wait_ends_at(self.since, self.last, self.bytes, patience)
    }
}

/// The progress of one HTTP/2 stream's answer, whose window the peer may keep closed while other streams continue.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// When the answer began to wait for its peer, in milliseconds from the beginning plus one; 0 while it does not
    /// wait.
    waits_since: AtomicU64,
    /// When the peer last read bytes, in the same unit.
    last: AtomicU64,
    bytes: AtomicU64,
    /// The number of bytes that were queued for the connection and are not written yet.
    pending: AtomicU64,
    /// Woken when all bytes were written.
    waker: AtomicWaker,
}

impl Progress {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let (waits_since, last, bytes, pending) = (zero(), zero(), zero(), zero());
        Self { began: Instant::now(), waits_since, last, bytes, pending, waker: AtomicWaker::new() }
    }

    /// Records that there are bytes for the peer to read.
    pub(super) fn waits_for_peer(&self) {
        if self.waits_since.load(Relaxed) == 0 {
            let now = self.now();
            self.bytes.store(0, Relaxed);
            self.last.store(now, Relaxed);
            self.waits_since.store(now, Relaxed);
        }
    }

    /// Records that the peer has read everything, and the broker must produce more.
    pub(super) fn waits_for_us(&self) {
        self.waits_since.store(0, Relaxed);
    }

    /// Records that bytes were queued for the connection.
    pub(super) fn queue(&self, bytes: usize) {
        self.pending.fetch_add(bytes as u64, Relaxed);
    }

    /// Records that the connection has written bytes.
    pub(super) fn record_progress(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.last.store(self.now(), Relaxed);
        if self.pending.fetch_sub(bytes as u64, Relaxed) == bytes as u64 {
            self.waker.wake();
        }
    }

    /// Waits until the connection has written all bytes.
    pub(super) fn poll_written(&self, context: &Context<'_>) -> Poll<()> {
        if self.pending.load(Relaxed) == 0 {
            return Poll::Ready(());
        }
        self.waker.register(context.waker());
        // The bytes may have been written before the waker was registered.
        if self.pending.load(Relaxed) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When the wait for the peer times out; `None` while the answer does not wait.
    pub(super) fn ends_at(&self, patience: Duration) -> Option<Instant> {
        let at = |millis: u64| self.began + Duration::from_millis(millis);
        let since = self.waits_since.load(Relaxed).checked_sub(1)?;
        let last = self.last.load(Relaxed).saturating_sub(1);
        Some(wait_ends_at(at(since), at(last), self.bytes.load(Relaxed), patience))
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
    async fn each_4_kib_that_a_peer_reads_extend_its_deadline_by_a_second() {
        let began = Instant::now();
        let progress = Progress::new();
        progress.waits_for_peer();
        advance(Duration::from_secs(20)).await;
        progress.waits_for_peer();
        progress.queue(8192);
        progress.record_progress(8192);
        assert_eq!(progress.ends_at(PATIENCE), Some(began + PATIENCE + Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_reads_does_not_extend_the_deadline() {
        let began = Instant::now();
        let progress = Progress::new();
        progress.waits_for_peer();
        progress.queue(1 << 20);
        progress.record_progress(1 << 20);
        assert_eq!(progress.ends_at(PATIENCE), Some(began + PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_of_a_peer_does_not_run_while_the_broker_prepares_its_answer() {
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
