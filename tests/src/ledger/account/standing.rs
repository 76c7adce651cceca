//! What a channel holds when nothing is under way, by its account; and what it is seen to hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Entry, Event, Terms, Wrong};

/// A message that is there when somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The message.
    pub key: u64,
    /// The broker's id.
    pub id: u128,
    /// Its state.
    pub state: State,
    /// Bytes of its content and kept headers.
    pub bytes: u64,
}

/// The states of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Due, and nobody has it.
    Ready,
    /// A receiver has it.
    Leased,
    /// Not due.
    Delayed,
    /// A dead letter.
    Dead,
}

/// How many messages are in each state, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Due, and nobody has them.
    pub ready: u64,
    /// Receivers have them.
    pub leased: u64,
    /// Not due.
    pub delayed: u64,
    /// Dead letters.
    pub dead: u64,
    /// Bytes of contents and kept headers of all.
    pub bytes: u64,
}

/// What becomes of messages whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// They go.
    Drop,
    /// They become dead letters.
    Die,
}

impl Standing {
    /// One more message.
    pub fn add(&mut self, state: State, bytes: u64) {
        match state {
            State::Ready => self.ready += 1,
            State::Leased => self.leased += 1,
            State::Delayed => self.delayed += 1,
            State::Dead => self.dead += 1,
        }
        self.bytes += bytes;
    }

    /// What is seen.
    pub fn of(left: &[Left]) -> Self {
        let mut standing = Self::default();
        left.iter().for_each(|left| standing.add(left.state, left.bytes));
        standing
    }

    /// Messages, whatever their state.
    pub fn messages(&self) -> u64 {
        self.ready + self.leased + self.delayed + self.dead
    }
}

/// A message that was stored and not settled.
#[derive(Debug, Clone, Copy)]
struct Alive {
    terms: Terms,
    /// Its time is over no earlier than it would be had it been stored then.
    sent_ms: u64,
    leased_until_ms: u64,
    due_ms: u64,
    rejected: bool,
}

impl Alive {
    /// Its state by now; none when its time is over and it is gone.
    fn state(&self, expired: Expired, now_ms: u64) -> Option<State> {
        if self.rejected {
            return Some(State::Dead);
        }
        if self.leased_until_ms > now_ms {
            return Some(State::Leased);
        }
        if self.terms.ttl_ms.is_some_and(|ttl| self.sent_ms + ttl <= now_ms) {
            return (expired == Expired::Die).then_some(State::Dead);
        }
        Some(if self.due_ms > now_ms { State::Delayed } else { State::Ready })
    }
}

fn alive(entries: &[Entry]) -> BTreeMap<u64, Alive> {
    let mut terms: BTreeMap<u64, (u64, Terms)> = BTreeMap::new();
    let mut alive: BTreeMap<u64, Alive> = BTreeMap::new();
    let mut settled = BTreeSet::new();
    for Entry { at_ms, key, event } in entries {
        if let Event::Sent(said) = event {
            terms.insert(*key, (*at_ms, *said));
        }
        if matches!(event, Event::Stored(_) | Event::Came(_)) && !settled.contains(key) {
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
            Event::Came(delivery) => (message.leased_until_ms, message.due_ms) = (delivery.until_ms, 0),
            Event::Renewed { until_ms } => message.leased_until_ms = *until_ms,
            Event::Returned { due_ms } => (message.leased_until_ms, message.due_ms) = (0, *due_ms),
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

/// What the channel holds at this time, for an account that knows all. Leases that ended, delays that are over and
/// messages that expired are counted so.
pub(super) fn standing(entries: &[Entry], expired: Expired, now_ms: u64) -> Standing {
    let mut standing = Standing::default();
    for message in alive(entries).values() {
        if let Some(state) = message.state(expired, now_ms) {
            standing.add(state, message.terms.bytes);
        }
    }
    standing
}

/// Messages that are there although no push of them was answered.
pub(super) fn unanswered(entries: &[Entry], left: &[Left]) -> Vec<(u64, u128)> {
    let stored = |entry: &&Entry| matches!(entry.event, Event::Stored(_));
    let stored: BTreeSet<u64> = entries.iter().filter(stored).map(|entry| entry.key).collect();
    left.iter().filter(|left| !stored.contains(&left.key)).map(|left| (left.key, left.id)).collect()
}

/// Messages that are not there and may have ended without anybody knowing: by an end that was answered too late to tell,
/// or by a pull that settles what it brings and was cut. Each such pull explains one message.
pub(super) fn ended_unseen(entries: &[Entry], left: &[Left]) -> Vec<u64> {
    let left: BTreeSet<u64> = left.iter().map(|left| left.key).collect();
    let missing = |(key, message): &(u64, Alive)| message.terms.ttl_ms.is_none() && !left.contains(key);
    let perhaps = |entry: &&Entry| entry.event == Event::EndedPerhaps;
    let perhaps: BTreeSet<u64> = entries.iter().filter(perhaps).map(|entry| entry.key).collect();
    let taken = entries.iter().filter(|entry| entry.event == Event::TakenPerhaps).count();
    let missing = alive(entries).into_iter().filter(missing).map(|(key, _)| key);
    let (mut ended, unexplained): (Vec<u64>, Vec<u64>) = missing.partition(|key| perhaps.contains(key));
    if unexplained.len() <= taken {
        ended.extend(unexplained);
    }
    ended
}

/// What is wrong with what is left.
pub(super) fn wrongs_left(entries: &[Entry], left: &[Left], expired: Expired, now_ms: u64) -> Vec<Wrong> {
    let alive = alive(entries);
    let mut wrongs = Vec::new();
    let mut seen = BTreeSet::new();
    for Left { key, .. } in left {
        if !seen.insert(*key) {
            wrongs.push(Wrong::Doubled(*key));
        }
        if !alive.contains_key(key) {
            wrongs.push(Wrong::CameBack(*key));
        }
    }
    let should_be = alive.iter().filter(|(_, message)| message.state(expired, now_ms).is_some());
    wrongs.extend(should_be.filter(|(key, _)| !seen.contains(key)).map(|(key, _)| Wrong::Lost(*key)));
    wrongs
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

    fn left(key: u64) -> Left {
        Left { key, id: key.into(), state: State::Ready, bytes: BYTES }
    }

    fn with(events: &[Event], ttl_ms: Option<u64>) -> Vec<Entry> {
        let events = events.iter().cloned().map(|event| (1, event));
        entries(stored(1, ttl_ms).into_iter().chain(events))
    }

    fn state(events: &[Event], ttl_ms: Option<u64>, expired: Expired) -> Standing {
        standing(&with(events, ttl_ms), expired, 100)
    }

    #[test]
    fn each_state_follows_from_the_last_that_was_said() {
        let came = |until_ms| Event::Came(Delivery { until_ms, ..Delivery::default() });
        let (ready, one) = (Standing { ready: 1, bytes: BYTES, ..Standing::default() }, Standing::default());
        let leased = Standing { leased: 1, bytes: BYTES, ..one };
        let dead = Standing { dead: 1, bytes: BYTES, ..one };
        let of = |events: &[Event]| state(events, None, Expired::Drop);
        assert_eq!(of(&[]), ready);
        assert_eq!(of(&[came(200)]), leased);
        assert_eq!(of(&[came(50)]), ready, "a lease that ended");
        assert_eq!(of(&[came(50), Event::Renewed { until_ms: 200 }]), leased);
        assert_eq!(of(&[came(200), Event::Returned { due_ms: 0 }]), ready);
        assert_eq!(of(&[came(200), Event::Returned { due_ms: 200 }]).delayed, 1);
        assert_eq!(of(&[came(200), Event::Ended(End::Reject)]), dead);
        assert_eq!(of(&[came(200), Event::Ended(End::Reject), Event::Redriving]), ready);
        assert_eq!(of(&[came(200), Event::Ended(End::Settle), Event::Stored(1)]), one);
        assert_eq!(state(&[], Some(10), Expired::Drop), one);
        assert_eq!(state(&[], Some(10), Expired::Die), dead);
        assert_eq!(state(&[came(200)], Some(10), Expired::Drop), leased, "time takes it from nobody");
    }

    #[test]
    fn a_message_that_is_nowhere_is_lost_and_one_that_is_there_after_its_settle_came_back() {
        let check =
            |events: &[Event], left: &[Left]| wrongs_left(&with(events, None), left, Expired::Drop, 100);
        assert_eq!(check(&[], &[left(1)]), []);
        assert_eq!(check(&[], &[]), [Wrong::Lost(1)]);
        assert_eq!(check(&[], &[left(1), left(1)]), [Wrong::Doubled(1)]);
        let settled = [Event::Ended(End::Settle)];
        assert_eq!(check(&settled, &[]), []);
        assert_eq!(check(&settled, &[left(1)]), [Wrong::CameBack(1)]);
    }

    #[test]
    fn what_nobody_was_told_is_learnt_by_looking() {
        let sent = entries([(1, Event::Sent(Terms::default()))]);
        assert_eq!(unanswered(&sent, &[left(1)]), [(1, 1)]);
        assert_eq!(unanswered(&with(&[], None), &[left(1)]), []);
    }

    #[test]
    fn only_so_many_messages_may_be_gone_unseen_as_were_perhaps_taken_or_ended() {
        let none: [u64; 0] = [];
        assert_eq!(ended_unseen(&with(&[], None), &[]), none);
        assert_eq!(ended_unseen(&with(&[Event::EndedPerhaps], None), &[]), [1]);
        assert_eq!(ended_unseen(&with(&[Event::TakenPerhaps], None), &[]), [1]);
        let two = || stored(2, None).into_iter().chain(stored(3, None)).chain([(0, Event::TakenPerhaps)]);
        assert_eq!(ended_unseen(&entries(two()), &[]), none, "one pull takes one message");
        assert_eq!(ended_unseen(&entries(two()), &[left(3)]), [2]);
    }
}
