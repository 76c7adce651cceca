//! The state of one connection, called a line, and its time-outs.
//!
//! A line is new until its first request, whose head must be complete within `--head-timeout`. It is busy while a
//! request is answered. After that it is idle, for at most `--keep-alive`, until the next head begins, which must be
//! complete within `--head-timeout`. If there are too many connections, idle lines are closed.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::undelivered::Undelivered;
use crate::{clock::Clock, drain::Drain};

/// The state of one open connection.
pub(super) struct Line {
    pub(super) peer: IpAddr,
    began: Instant,
    /// The number of requests that are being answered.
    busy: AtomicU32,
    /// Whether a request has come.
    was_used: AtomicBool,
    /// Whether bytes have come since the line was idle, and no request is complete yet.
    head_begun: AtomicBool,
    /// The number of unread bytes of the last request's body; `u64::MAX` if unknown.
    unread: AtomicU64,
    /// When the line became idle or the head began, in milliseconds from the beginning.
    since: AtomicU64,
    /// Whether the line should close to make room for others.
    asked_to_close: AtomicBool,
    waker: AtomicWaker,
    /// The guards of frames that were not flushed yet.
    pub(super) undelivered: Undelivered,
    drain: Drain,
    /// A clone of its own, like that of a thread: a reference count that all threads share would be slow.
    pub(super) clock: Clock,
}

/// The time-outs of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The time for a head to be complete. On a new line it counts from the start of the connection.
    pub(super) head: Duration,
    /// The time for the next head to begin.
    pub(super) idle: Duration,
}

/// A request that is being answered; keeps its line busy.
pub(super) struct Answering(Arc<Line>);

/// How many unread bytes of a body may be skipped to reach the next request, if they have arrived by then: less than
/// hyper reads at once.
const PASSED_OVER_BYTES_MAX: u64 = 4096;
/// The value of `since` until it is determined.
const NOT_YET: u64 = u64::MAX;

impl Line {
    /// A new line to a peer.
    pub(super) fn new(peer: IpAddr, drain: &Drain, clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            peer,
            began: Instant::now(),
            busy: AtomicU32::new(0),
            was_used: AtomicBool::new(false),
            head_begun: AtomicBool::new(false),
            unread: AtomicU64::new(0),
            since: AtomicU64::new(0),
            asked_to_close: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            undelivered: Undelivered::default(),
            drain: drain.clone(),
            clock: clock.clone(),
        })
    }

    /// Marks the line busy with a request.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.busy.fetch_add(1, Relaxed);
        self.was_used.store(true, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.unread.store(0, Relaxed);
        Answering(self.clone())
    }

    /// Records that bytes of a request's head have come. Not for HTTP/2, where bytes outside of streams need not belong
    /// to a head.
    pub(super) fn record_head_bytes(&self) {
        if self.busy.load(Relaxed) == 0 && !self.head_begun.load(Relaxed) {
            self.head_begun.store(true, Relaxed);
            self.since.store(NOT_YET, Relaxed);
        }
    }

    /// Records that the rest of a request's body will not be read, and its length if it is known.
    pub(super) fn leaves_unread(&self, bytes: Option<u64>) {
        self.unread.store(bytes.unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether the peer may still be sending bytes that will not be read.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Relaxed) > 0 || self.head_begun.load(Relaxed)
    }

    /// Whether the unread rest of a body is larger than what may be skipped to reach the next request.
    fn leaves_much_unread(&self) -> bool {
        self.unread.load(Relaxed) > PASSED_OVER_BYTES_MAX
    }

    /// When the line times out if nothing changes; `None` while it is busy. Must be called after each activity of the
    /// line.
    pub(super) fn ends_at(&self, patience: Patience) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        let was_used = self.was_used.load(Relaxed);
        let mut since = self.since.load(Relaxed);
        if since == NOT_YET {
            since = self.began.elapsed().as_millis() as u64;
            self.since.store(since, Relaxed);
        }
        if !was_used {
            return Some(self.began + patience.head);
        }
        let patience = if self.head_begun.load(Relaxed) { patience.head } else { patience.idle };
        Some(self.began + Duration::from_millis(since) + patience)
    }

    /// Whether the connection closes after the current answer.
    pub(super) fn closes(&self) -> bool {
        self.drain.has_begun() || self.leaves_much_unread() || self.is_asked_to_close()
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    /// Since when the line has been idle; `None` while it is busy.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = self.since.load(Relaxed);
        let since = if since == NOT_YET { return None } else { Duration::from_millis(since) };
        (!self.is_busy()).then(|| self.began + since)
    }

    /// Asks the line to close, if it is still idle when its task runs.
    pub(super) fn ask_to_close(&self) {
        self.asked_to_close.store(true, Relaxed);
        self.waker.wake();
    }

    /// Whether the line should close now.
    pub(super) fn must_close(&self) -> bool {
        self.asked_to_close.load(Relaxed) && !self.is_busy()
    }

    /// Whether the line was asked to close.
    pub(super) fn is_asked_to_close(&self) -> bool {
        self.asked_to_close.load(Relaxed)
    }

    /// Registers the task to wake when the line is asked to close.
    pub(super) fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

impl Answering {
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.0
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Relaxed) == 1 {
            self.0.since.store(NOT_YET, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::advance;

    use super::*;

    const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_secs(620) };
    const LATER: Duration = Duration::from_secs(5);

    fn line() -> Arc<Line> {
        Line::new(Ipv4Addr::LOCALHOST.into(), &Drain::new(), &Clock::of_test())
    }

    fn seconds_left(line: &Line) -> Option<u64> {
        line.ends_at(PATIENCE).map(|at| at.duration_since(Instant::now()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_timeout_of_the_first_request_starts_with_the_connection() {
        let line = line();
        advance(LATER).await;
        line.record_head_bytes();
        assert_eq!(seconds_left(&line), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_answers_does_not_time_out() {
        let line = line();
        let _answering = line.answering();
        assert_eq!(seconds_left(&line), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_line_has_the_keep_alive_time_and_the_next_head_has_its_own() {
        let line = line();
        drop(line.answering());
        assert_eq!(seconds_left(&line), Some(620));
        advance(LATER).await;
        line.record_head_bytes();
        assert_eq!(seconds_left(&line), Some(10));
        advance(LATER).await;
        line.record_head_bytes();
        assert_eq!(seconds_left(&line), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_gives_way_only_while_it_is_idle() {
        let line = line();
        let answering = line.answering();
        line.ask_to_close();
        assert!(!line.must_close());
        drop(answering);
        assert!(line.must_close());
    }
}
