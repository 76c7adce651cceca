//! The connections of a port: their limit, their holders, and which are closed to make room for others.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntCounter;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{holder::Holder, line::Line, proxies::TrustedProxies};
use crate::shared::{Allocation, Share, Shared};

/// One in this many idle connections is closed at a time, because finding the oldest ones means a scan of all
/// connections.
const CLOSED_FRACTION: usize = 64;

/// The places of a port for connections. Clones share the same places.
#[derive(Clone)]
pub struct Places {
    shares: Shared<Holder>,
    lines: Arc<Mutex<Lines>>,
    /// Signals when no place is taken.
    taken: TaskTracker,
    closed_idle: IntCounter,
    proxies: TrustedProxies,
}

#[derive(Default)]
struct Lines {
    // Indexes are reused through `free`, so that a place is found without a search.
    lines: Vec<Option<(Arc<Line>, Share)>>,
    free: Vec<usize>,
}

/// A connection's place; given up on drop.
pub(super) struct Place {
    places: Places,
    index: usize,
    _taken: Allocation,
    _is_taken: TaskTrackerToken,
}

impl Places {
    /// `max` places. Counts refused connections, and idle connections that were closed to make room. A trusted proxy
    /// may take all places, because it stands for many peers.
    pub fn new(max: usize, refused: IntCounter, closed_idle: IntCounter, proxies: TrustedProxies) -> Self {
        let taken = TaskTracker::new();
        taken.close();
        Self { shares: Shared::new(max as u64, refused), lines: Arc::default(), taken, closed_idle, proxies }
    }

    /// `max` places whose counters are not exported.
    pub fn uncounted(max: usize) -> Self {
        let counter = || IntCounter::new("unread", "unread").expect("the name is valid");
        Self::new(max, counter(), counter(), TrustedProxies::default())
    }

    /// A place for a line. If the peer has reached its share, or all places are taken, idle lines are closed: those of
    /// the peer, or any. Returns `None` if no line is idle.
    pub(super) fn enter(&self, line: &Arc<Line>) -> Option<Place> {
        let share = if self.is_of_many(line) {
            self.shares.share_of_many()
        } else {
            self.shares.share(Holder::of(line.peer))
        };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = share.take_uncounted(1).or_else(|| {
            let is_full = share.budget().available() == 0;
            let closing = lines.ask_longest_idle_to_close(|of| is_full || of.is(&share));
            self.closed_idle.inc_by(closing as u64);
            if closing == 0 {
                share.budget().count_refusal();
            }
            (closing > 0).then(|| share.take_anyway(1))
        })?;
        let index = lines.insert(line.clone(), share);
        Some(Place { places: self.clone(), index, _taken: taken, _is_taken: self.taken.token() })
    }

    /// Waits until no connection has a place.
    pub(super) async fn are_free(&self) {
        self.taken.wait().await;
    }

    /// Whether a line belongs to a trusted proxy.
    pub(super) fn is_of_many(&self, line: &Line) -> bool {
        self.proxies.contains(line.peer)
    }

    /// The number of open connections.
    pub fn used(&self) -> u64 {
        self.shares.budget().used()
    }
}

impl Lines {
    fn insert(&mut self, line: Arc<Line>, share: Share) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.lines.push(None);
            self.lines.len() - 1
        });
        self.lines[index] = Some((line, share));
        index
    }

    fn remove(&mut self, index: usize) {
        self.lines[index] = None;
        self.free.push(index);
    }

    /// Asks the lines of these shares that have been idle longest to close. Returns their number.
    fn ask_longest_idle_to_close(&self, of: impl Fn(&Share) -> bool) -> usize {
        let idle = self.lines.iter().flatten().filter(|(line, share)| !line.is_asked_to_close() && of(share));
        let mut idle: Vec<_> = idle.filter_map(|(line, _)| Some((line.idle_since()?, line))).collect();
        let count = (idle.len() / CLOSED_FRACTION).max(1).min(idle.len());
        if count == 0 {
            return 0;
        }
        idle.select_nth_unstable_by_key(count - 1, |(since, _)| *since);
        idle[..count].iter().for_each(|(_, line)| line.ask_to_close());
        count
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::{clock::Clock, drain::Drain};

    fn line(peer: u8) -> Arc<Line> {
        Line::new(IpAddr::from([10, 0, 0, peer]), &Drain::new(), &Clock::of_test())
    }

    #[test]
    fn one_peer_leaves_places_for_others() {
        let places = Places::uncounted(16);
        let greedy: Vec<_> = (0..16).map(|_| line(1)).collect();
        let busy: Vec<_> = greedy.iter().map(Line::answering).collect();
        let held: Vec<_> = greedy.iter().filter_map(|line| places.enter(line)).collect();
        assert_eq!(held.len(), 12);
        assert!(places.enter(&line(2)).is_some());
        drop(busy);
    }

    #[test]
    fn a_trusted_proxy_may_use_all_places() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let places = Places { proxies, ..Places::uncounted(16) };
        let lines: Vec<_> = (0..16).map(|_| line(1)).collect();
        let held: Vec<_> = lines.iter().filter_map(|line| places.enter(line)).collect();
        assert_eq!(held.len(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_free_place_the_longest_idle_line_is_closed() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let places = Places { proxies, ..Places::uncounted(2) };
        let (first, second) = (line(1), line(2));
        let _busy = first.answering();
        let _held = [places.enter(&first).unwrap(), places.enter(&second).unwrap()];
        assert!(places.enter(&line(3)).is_some());
        assert!(second.must_close() && !first.must_close());
    }

    #[test]
    fn without_a_free_place_or_idle_line_a_new_connection_is_refused() {
        let places = Places::uncounted(1);
        let first = line(1);
        let _busy = first.answering();
        let _held = places.enter(&first).unwrap();
        assert!(places.enter(&line(2)).is_none());
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let places = Places::uncounted(1);
        drop(places.enter(&line(1)).unwrap());
        assert_eq!(places.used(), 0);
        let line = line(2);
        let _busy = line.answering();
        assert!(places.enter(&line).is_some());
    }
}
