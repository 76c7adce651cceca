//! How an answer gets on. While it waits for its peer, the peer has to take it at a least rate.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// How fast a body has to come or to be taken after its first moments, in bytes a second: slower than any link in use, and
/// fast enough that nobody holds the memory of others for long with next to nothing.
pub const BYTES_PER_SECOND_MIN: u64 = 4096;

/// The time that so many bytes are worth.
pub fn worth(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / BYTES_PER_SECOND_MIN)
}

/// A wait for the peer to take what there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    since: Instant,
    taken: u64,
}

impl Stall {
    /// The peer does not take more for now.
    pub(super) fn begun() -> Self {
        Self { since: Instant::now(), taken: 0 }
    }

    /// It took some.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// When the peer is given up.
    pub(super) fn ends_at(&self, patience: Duration) -> Instant {
        self.since + patience + worth(self.taken)
    }
}

/// The progress of the answer of one HTTP/2 stream, whose window its peer may keep shut while other streams go on.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// Milliseconds from the beginning to when the answer began to wait for its peer, and one; 0 while it does not.
    waits_since: AtomicU64,
    taken: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), waits_since: AtomicU64::new(0), taken: AtomicU64::new(0) }
    }

    /// There is something for the peer to take.
    pub(super) fn waits_for_peer(&self) {
        if self.waits_since.load(Relaxed) == 0 {
            self.taken.store(0, Relaxed);
            self.waits_since.store(self.began.elapsed().as_millis() as u64 + 1, Relaxed);
        }
    }

    /// The peer has taken all that there was, and more is still to be made.
    pub(super) fn waits_for_us(&self) {
        self.waits_since.store(0, Relaxed);
    }

    /// The peer took some.
    pub(super) fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
    }

    /// When the peer is given up; never while the answer does not wait for it.
    pub(super) fn ends_at(&self, patience: Duration) -> Option<Instant> {
        let since = self.waits_since.load(Relaxed).checked_sub(1)?;
        let stall =
            Stall { since: self.began + Duration::from_millis(since), taken: self.taken.load(Relaxed) };
        Some(stall.ends_at(patience))
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
        progress.took(8192);
        assert_eq!(progress.ends_at(PATIENCE), Some(began + PATIENCE + Duration::from_secs(2)));
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
