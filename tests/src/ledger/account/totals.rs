//! Totals of a channel when no request is in flight: the expected ones from its account, and the actual ones.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Entry, Event, Terms, Violation};

/// A message that was found in the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// The test's key of the message.
    pub key: u64,
    pub id: u128,
    pub state: State,
    /// Bytes of the body and the kept headers.
    pub bytes: u64,
}

/// The states of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Can be pulled.
    Ready,
    Leased,
    /// In a delay.
    Delayed,
    Dead,
}

/// Number of messages in each state, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages that can be pulled.
    pub ready: u64,
    pub leased: u64,
    /// Messages in a delay.
    pub delayed: u64,
    pub dead: u64,
    /// Bytes of the bodies and kept headers of all messages.
    pub bytes: u64,
}

/// Effect of an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    Drop,
    DeadLetter,
}

impl Totals {
    pub fn add(&mut self, state: State, bytes: u64) {
        match state {
            State::Ready => self.ready += 1,
            State::Leased => self.leased += 1,
            State::Delayed => self.delayed += 1,
            State::Dead => self.dead += 1,
        }
        self.bytes += bytes;
    }

    /// Totals of the messages that were found.
    pub fn of(left: &[Remaining]) -> Self {
        let mut totals = Self::default();
        left.iter().for_each(|left| totals.add(left.state, left.bytes));
        totals
    }

    pub fn messages(&self) -> u64 {
        self.ready + self.leased + self.delayed + self.dead
    }
}

/// A message that was stored and not settled.
#[derive(Debug, Clone, Copy)]
struct Alive {
    terms: Terms,
    /// Earliest time of its storage, for the earliest time of its expiry.
    sent_ms: u64,
    leased_until_ms: u64,
    due_ms: u64,
    rejected: bool,
}

impl Alive {
    /// The message's state at a time; `None` if it expired and was dropped.
    fn state(&self, expired: Expired, now_ms: u64) -> Option<State> {
        if self.rejected {
            return Some(State::Dead);
        }
        if self.leased_until_ms > now_ms {
            return Some(State::Leased);
        }
        if self.terms.ttl_ms.is_some_and(|ttl| self.sent_ms + ttl <= now_ms) {
            return (expired == Expired::DeadLetter).then_some(State::Dead);
        }
        Some(if self.due_ms > now_ms { State::Delayed } else { State::Ready })
    }
}

fn alive(entries: &[Entry]) -> BTreeMap<u64, Alive> {
    let mut terms: BTreeMap<u64, (u64, Terms)> = BTreeMap::new();
    let mut alive: BTreeMap<u64, Alive> = BTreeMap::new();
    let mut settled = BTreeSet::new();
    for Entry { at_ms, key, event } in entries {
        if let Event::Sent(sent) = event {
            terms.insert(*key, (*at_ms, *sent));
        }
        if matches!(event, Event::Stored(_) | Event::Delivered(_)) && !settled.contains(key) {
            let (sent_ms, terms) = terms.get(key).copied().unwrap_or_default();
            alive.entry(*key).or_insert(Alive {
                terms,
                sent_ms,
                leased_until_ms: 0,
                due_ms: 0,
                rejected: false,
            });
        }
        let Some(message) = alive.get_mut(key) else { continue };
        match event {
            Event::Delivered(delivery) => (message.leased_until_ms, message.due_ms) = (delivery.until_ms, 0),
            Event::Renewed { until_ms } => message.leased_until_ms = *until_ms,
            Event::Released { due_ms } => (message.leased_until_ms, message.due_ms) = (0, *due_ms),
            Event::Ended(End::Reject) => message.rejected = true,
            Event::Redriving => (message.rejected, message.leased_until_ms) = (false, 0),
            Event::Ended(End::Settle) => {
                settled.insert(*key);
                alive.remove(key);
            }
            _ => {}
        }
    }
    alive
}

/// Expected totals at this time, for a complete account. Ended leases, passed delays and expired messages are counted
/// as such.
pub(super) fn totals(entries: &[Entry], expired: Expired, now_ms: u64) -> Totals {
    let mut totals = Totals::default();
    for message in alive(entries).values() {
        if let Some(state) = message.state(expired, now_ms) {
            totals.add(state, message.terms.bytes);
        }
    }
    totals
}

/// Messages in the channel whose pushes were never answered.
pub(super) fn unanswered(entries: &[Entry], left: &[Remaining]) -> Vec<(u64, u128)> {
    let stored = |entry: &&Entry| matches!(entry.event, Event::Stored(_));
    let stored: BTreeSet<u64> = entries.iter().filter(stored).map(|entry| entry.key).collect();
    left.iter().filter(|left| !stored.contains(&left.key)).map(|left| (left.key, left.id)).collect()
}

/// Missing messages that may have ended without a known answer: by a settle or reject that was answered after the lease
/// ended, or by a cut pull with `ack=auto`. Each such pull explains one message.
pub(super) fn maybe_ended(entries: &[Entry], left: &[Remaining]) -> Vec<u64> {
    let left: BTreeSet<u64> = left.iter().map(|left| left.key).collect();
    let missing = |(key, message): &(u64, Alive)| message.terms.ttl_ms.is_none() && !left.contains(key);
    let perhaps = |entry: &&Entry| entry.event == Event::MaybeEnded;
    let perhaps: BTreeSet<u64> = entries.iter().filter(perhaps).map(|entry| entry.key).collect();
    let taken = entries.iter().filter(|entry| entry.event == Event::MaybeTaken).count();
    let missing = alive(entries).into_iter().filter(missing).map(|(key, _)| key);
    let (mut ended, unexplained): (Vec<u64>, Vec<u64>) = missing.partition(|key| perhaps.contains(key));
    if unexplained.len() <= taken {
        ended.extend(unexplained);
    }
    ended
}

/// Violations in the remaining messages.
pub(super) fn violations_in(
    entries: &[Entry],
    left: &[Remaining],
    expired: Expired,
    now_ms: u64,
) -> Vec<Violation> {
    let alive = alive(entries);
    let mut violations = Vec::new();
    let mut seen = BTreeSet::new();
    for Remaining { key, .. } in left {
        if !seen.insert(*key) {
            violations.push(Violation::Duplicated(*key));
        }
        if !alive.contains_key(key) {
            violations.push(Violation::Reappeared(*key));
        }
    }
    let should_be = alive.iter().filter(|(_, message)| message.state(expired, now_ms).is_some());
    violations.extend(should_be.filter(|(key, _)| !seen.contains(key)).map(|(key, _)| Violation::Lost(*key)));
    violations
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, entry::entries},
        *,
    };

    const BYTES: u64 = 10;

    fn stored(key: u64, ttl_ms: Option<u64>) -> [(u64, Event); 2] {
        let terms = Terms { ttl_ms, bytes: BYTES, ..Terms::default() };
        [(key, Event::Sent(terms)), (key, Event::Stored(key.into()))]
    }

    fn left(key: u64) -> Remaining {
        Remaining { key, id: key.into(), state: State::Ready, bytes: BYTES }
    }

    fn with(events: &[Event], ttl_ms: Option<u64>) -> Vec<Entry> {
        let events = events.iter().cloned().map(|event| (1, event));
        entries(stored(1, ttl_ms).into_iter().chain(events))
    }

    fn state(events: &[Event], ttl_ms: Option<u64>, expired: Expired) -> Totals {
        totals(&with(events, ttl_ms), expired, 100)
    }

    #[test]
    fn each_state_follows_from_the_last_event() {
        let delivered = |until_ms| Event::Delivered(Delivery { until_ms, ..Delivery::default() });
        let (ready, one) = (Totals { ready: 1, bytes: BYTES, ..Totals::default() }, Totals::default());
        let leased = Totals { leased: 1, bytes: BYTES, ..one };
        let dead = Totals { dead: 1, bytes: BYTES, ..one };
        let of = |events: &[Event]| state(events, None, Expired::Drop);
        assert_eq!(of(&[]), ready);
        assert_eq!(of(&[delivered(200)]), leased);
        assert_eq!(of(&[delivered(50)]), ready, "the lease ended");
        assert_eq!(of(&[delivered(50), Event::Renewed { until_ms: 200 }]), leased);
        assert_eq!(of(&[delivered(200), Event::Released { due_ms: 0 }]), ready);
        assert_eq!(of(&[delivered(200), Event::Released { due_ms: 200 }]).delayed, 1);
        assert_eq!(of(&[delivered(200), Event::Ended(End::Reject)]), dead);
        assert_eq!(of(&[delivered(200), Event::Ended(End::Reject), Event::Redriving]), ready);
        assert_eq!(of(&[delivered(200), Event::Ended(End::Settle), Event::Stored(1)]), one);
        assert_eq!(state(&[], Some(10), Expired::Drop), one);
        assert_eq!(state(&[], Some(10), Expired::DeadLetter), dead);
        assert_eq!(
            state(&[delivered(200)], Some(10), Expired::Drop),
            leased,
            "a leased message does not expire"
        );
    }

    #[test]
    fn a_missing_message_is_lost_and_one_that_remains_after_its_settle_reappeared() {
        let check = |events: &[Event], left: &[Remaining]| {
            violations_in(&with(events, None), left, Expired::Drop, 100)
        };
        assert_eq!(check(&[], &[left(1)]), []);
        assert_eq!(check(&[], &[]), [Violation::Lost(1)]);
        assert_eq!(check(&[], &[left(1), left(1)]), [Violation::Duplicated(1)]);
        let settled = [Event::Ended(End::Settle)];
        assert_eq!(check(&settled, &[]), []);
        assert_eq!(check(&settled, &[left(1)]), [Violation::Reappeared(1)]);
    }

    #[test]
    fn a_push_without_an_answer_is_found_among_the_remaining_messages() {
        let sent = entries([(1, Event::Sent(Terms::default()))]);
        assert_eq!(unanswered(&sent, &[left(1)]), [(1, 1)]);
        assert_eq!(unanswered(&with(&[], None), &[left(1)]), []);
    }

    #[test]
    fn each_cut_pull_explains_only_one_missing_message() {
        let none: [u64; 0] = [];
        assert_eq!(maybe_ended(&with(&[], None), &[]), none);
        assert_eq!(maybe_ended(&with(&[Event::MaybeEnded], None), &[]), [1]);
        assert_eq!(maybe_ended(&with(&[Event::MaybeTaken], None), &[]), [1]);
        let two = || stored(2, None).into_iter().chain(stored(3, None)).chain([(0, Event::MaybeTaken)]);
        assert_eq!(maybe_ended(&entries(two()), &[]), none, "one pull explains one message");
        assert_eq!(maybe_ended(&entries(two()), &[left(3)]), [2]);
    }
}
