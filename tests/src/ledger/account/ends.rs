//! What ended does not come again; and what comes was sent, and is not too old.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Entry, Event, Wrong};

/// How long after its time a message may still be handed out: a broker that has just started has much to do at once.
const LATE_MS: u64 = 2000;

/// Messages that came after their settle was answered, or as dead letters that nobody redrives.
pub(super) fn came_back(entries: &[Entry]) -> Vec<Wrong> {
    let mut ended: BTreeMap<u64, End> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for Entry { key, event, .. } in entries {
        match event {
            Event::Ended(end) => {
                // Nothing undoes a settle.
                let end = if ended.get(key) == Some(&End::Settle) { End::Settle } else { *end };
                ended.insert(*key, end);
            }
            Event::Redriving if ended.get(key) == Some(&End::Reject) => drop(ended.remove(key)),
            Event::Came(_) if ended.contains_key(key) => wrongs.push(Wrong::CameBack(*key)),
            _ => {}
        }
    }
    wrongs
}

/// Messages that a receiver rejected and nobody is about to redrive.
pub(super) fn rejected(entries: &[Entry]) -> Vec<u64> {
    let mut rejected = BTreeSet::new();
    for Entry { key, event, .. } in entries {
        match event {
            Event::Ended(End::Reject) => drop(rejected.insert(*key)),
            Event::Ended(End::Settle) | Event::Redriving => drop(rejected.remove(key)),
            _ => {}
        }
    }
    rejected.into_iter().collect()
}

/// Messages that came and that nobody had sent.
pub(super) fn invented(entries: &[Entry]) -> Vec<Wrong> {
    let mut sent = BTreeSet::new();
    let mut wrongs = Vec::new();
    for Entry { key, event, .. } in entries {
        match event {
            Event::Sent(_) => drop(sent.insert(*key)),
            Event::Came(_) if !sent.contains(key) => {
                wrongs.push(Wrong::Strange(format!("{key:#x} came, which nobody sent")));
            }
            _ => {}
        }
    }
    wrongs
}

/// Messages that a channel handed out though they had come from the channel of its dead letters before they were asked
/// for.
pub(super) fn went_back(entries: &[Entry]) -> Vec<Wrong> {
    let mut moved: BTreeMap<u64, usize> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(delivery) = entry.came() else { continue };
        if delivery.moved {
            moved.entry(entry.key).or_insert(index);
        } else if moved.get(&entry.key).is_some_and(|moved| *moved < delivery.asked) {
            wrongs.push(Wrong::WentBack(entry.key));
        }
    }
    wrongs
}

/// Messages that were asked for when their time had been over for a while, and came.
pub(super) fn late(entries: &[Entry]) -> Vec<Wrong> {
    let (mut ttls, mut ends) = (BTreeMap::new(), BTreeMap::new());
    let mut wrongs = Vec::new();
    for Entry { at_ms, key, event } in entries {
        match event {
            Event::Sent(terms) => ttls.extend(terms.ttl_ms.map(|ttl| (*key, ttl))),
            Event::Stored(_) => {
                if let Some(ttl) = ttls.get(key) {
                    ends.entry(*key).or_insert(at_ms + ttl + LATE_MS);
                }
            }
            Event::Came(delivery) => {
                let asked_ms = delivery.asked.checked_sub(1).map_or(0, |last| entries[last].at_ms);
                if ends.get(key).is_some_and(|end| *end < asked_ms) {
                    wrongs.push(Wrong::Late(*key));
                }
            }
            _ => {}
        }
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Delivery, Terms,
            entry::{came, entries},
        },
        *,
    };

    #[test]
    fn a_settled_message_that_comes_is_seen_and_one_that_comes_twice_before_is_not() {
        let mut events = vec![(1, came(1)), (1, came(2)), (1, Event::Ended(End::Settle))];
        assert_eq!(came_back(&entries(events.clone())), []);
        events.extend([(1, Event::Redriving), (1, came(3))]);
        assert_eq!(came_back(&entries(events)), [Wrong::CameBack(1)]);
    }

    #[test]
    fn a_dead_letter_comes_only_when_it_is_redriven() {
        let dead = vec![(1, came(1)), (1, Event::Ended(End::Reject))];
        let comes = |with: &[Event]| {
            let more = with.iter().cloned().chain([came(1)]).map(|event| (1, event));
            came_back(&entries(dead.iter().cloned().chain(more)))
        };
        assert_eq!(comes(&[Event::Redriving]), []);
        assert_eq!(comes(&[]), [Wrong::CameBack(1)]);
        assert_eq!(rejected(&entries(dead)), [1]);
    }

    #[test]
    fn what_nobody_sent_is_invented() {
        let sent = (1, Event::Sent(Terms::default()));
        assert_eq!(invented(&entries([sent, (1, came(1))])), []);
        assert_eq!(invented(&entries([(1, came(1))])).len(), 1);
    }

    #[test]
    fn what_a_channel_gave_up_does_not_come_from_it_any_more() {
        let from = |moved, asked| (1, Event::Came(Delivery { moved, asked, ..Delivery::default() }));
        assert_eq!(went_back(&entries([from(false, 0), from(true, 1), from(false, 0)])), []);
        assert_eq!(went_back(&entries([from(true, 0), from(false, 1)])), [Wrong::WentBack(1)]);
    }

    #[test]
    fn a_message_whose_time_is_over_is_not_handed_out() {
        let at = |at_ms, event| Entry { at_ms, key: 1, event };
        let sent = Event::Sent(Terms { ttl_ms: Some(1000), ..Terms::default() });
        let asked = |asked| Event::Came(Delivery { asked, ..Delivery::default() });
        let lived =
            [at(0, sent), at(10, Event::Stored(1)), at(3000, Event::Refused), at(3020, Event::Refused)];
        let with = |asked_at| [&lived[..], &[at(3030, asked(asked_at))]].concat();
        assert_eq!(late(&with(3)), []);
        assert_eq!(late(&with(4)), [Wrong::Late(1)]);
    }
}
