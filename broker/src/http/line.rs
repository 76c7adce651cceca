//! The line to one peer: what it does at the moment, and until when it may do so.
//!
//! A line is new until its first request has come, which has to be within `--head-timeout`; busy while a request is answered;
//! idle after that, for `--keep-alive`, until the head of the next request begins, which again has to be whole within
//! `--head-timeout`. An idle line gives way when there are too many.

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

/// What is known of one connection while it is open.
pub(super) struct Line {
    /// Whose it is.
    pub(super) peer: IpAddr,
    began: Instant,
    /// Requests that are being answered.
    busy: AtomicU32,
    /// A request has come.
    was_used: AtomicBool,
    /// Bytes have come since the line was idle, and no request is whole.
    head_begun: AtomicBool,
    /// Bytes of the last request's body that were not read, as far as is known.
    unread: AtomicU64,
    /// When the line became idle or the head began, in milliseconds from the beginning.
    since: AtomicU64,
    /// It is to end, to make room.
    gives_way: AtomicBool,
    waker: AtomicWaker,
    /// What has not left yet.
    pub(super) undelivered: Undelivered,
    drain: Drain,
    /// Of its own, as a thread's: what all threads count is slow to count.
    pub(super) clock: Clock,
}

/// How long a line may be what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a head, and for the first to begin.
    pub(super) head: Duration,
    /// For the next to begin.
    pub(super) idle: Duration,
}

/// A request that is being answered.
pub(super) struct Answering(Arc<Line>);

/// What is passed over of a body after its request was answered, if it is there by then: less than hyper reads at once.
const PASSED_OVER_BYTES_MAX: u64 = 4096;
/// `since`, until it is known.
const NOT_YET: u64 = u64::MAX;

impl Line {
    /// The line to a peer, of a service that ends with this drain.
    pub(super) fn new(peer: IpAddr, drain: &Drain, clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            peer,
            began: Instant::now(),
            busy: AtomicU32::new(0),
            was_used: AtomicBool::new(false),
            head_begun: AtomicBool::new(false),
            unread: AtomicU64::new(0),
            since: AtomicU64::new(0),
            gives_way: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            undelivered: Undelivered::default(),
            drain: drain.clone(),
            clock: clock.clone(),
        })
    }

    /// A request has come.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.busy.fetch_add(1, Relaxed);
        self.was_used.store(true, Relaxed);
        self.head_begun.store(false, Relaxed);
        self.unread.store(0, Relaxed);
        Answering(self.clone())
    }

    /// Bytes have come that can only be of a head. What an HTTP/2 peer sends while no stream is open need not be one.
    pub(super) fn heard(&self) {
        if self.busy.load(Relaxed) == 0 && !self.head_begun.load(Relaxed) {
            self.head_begun.store(true, Relaxed);
            self.since.store(NOT_YET, Relaxed);
        }
    }

    /// The rest of a request's body is not wanted; how much that is, if its length is known.
    pub(super) fn leaves_unread(&self, bytes: Option<u64>) {
        self.unread.store(bytes.unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether the peer may still be sending what nobody reads.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Relaxed) > 0 || self.head_begun.load(Relaxed)
    }

    /// Whether more of a request's body is not wanted than hyper passes over to get to the next request.
    fn leaves_much_unread(&self) -> bool {
        self.unread.load(Relaxed) > PASSED_OVER_BYTES_MAX
    }

    /// When the line ends if nothing changes; none while it is busy. To be asked for after each thing that it did.
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

    /// Whether the answer that comes is the line's last.
    pub(super) fn closes(&self) -> bool {
        self.drain.has_begun() || self.leaves_much_unread() || self.has_given_way()
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    /// Since when the line has been idle; none while it is busy.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = self.since.load(Relaxed);
        let since = if since == NOT_YET { return None } else { Duration::from_millis(since) };
        (!self.is_busy()).then(|| self.began + since)
    }

    /// Ends the line, if it is still idle when it is looked at.
    pub(super) fn give_way(&self) {
        self.gives_way.store(true, Relaxed);
        self.waker.wake();
    }

    /// Whether it is to end.
    pub(super) fn is_to_give_way(&self) -> bool {
        self.gives_way.load(Relaxed) && !self.is_busy()
    }

    /// Whether it was told to.
    pub(super) fn has_given_way(&self) -> bool {
        self.gives_way.load(Relaxed)
    }

    /// Who is woken when the line is to give way.
    pub(super) fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

impl Answering {
    /// The line that it is answered on.
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

    fn left(line: &Line) -> Option<u64> {
        line.ends_at(PATIENCE).map(|at| at.duration_since(Instant::now()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_to_be_whole_soon_after_the_connection() {
        let line = line();
        advance(LATER).await;
        line.heard();
        assert_eq!(left(&line), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_answers_has_no_end() {
        let line = line();
        let _answering = line.answering();
        assert_eq!(left(&line), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_line_is_kept_until_the_next_head_begins_which_has_its_own_time() {
        let line = line();
        drop(line.answering());
        assert_eq!(left(&line), Some(620));
        advance(LATER).await;
        line.heard();
        assert_eq!(left(&line), Some(10));
        advance(LATER).await;
        line.heard();
        assert_eq!(left(&line), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_gives_way_only_while_it_is_idle() {
        let line = line();
        let answering = line.answering();
        line.give_way();
        assert!(!line.is_to_give_way());
        drop(answering);
        assert!(line.is_to_give_way());
    }
}
