//! Rules: a message that ended is not delivered again, and a delivered message was sent and has not expired.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Entry, Event, Violation};

/// Tolerated delay of an expiry: a broker that has just started is busy.
const LATE_MS: u64 = 2000;

/// Messages that were delivered after their settle was answered, or as dead letters without a redrive.
pub(super) fn reappeared(entries: &[Entry]) -> Vec<Violation> {
    let mut ended: BTreeMap<u64, End> = BTreeMap::new();
    let mut violations = Vec::new();
    for Entry { key, event, .. } in entries {
        match event {
            Event::Ended(end) => {
                // A settle is final.
                let end = if ended.get(key) == Some(&End::Settle) { End::Settle } else { *end };
                ended.insert(*key, end);
            }
            Event::Redriving if ended.get(key) == Some(&End::Reject) => drop(ended.remove(key)),
            Event::Delivered(_) if ended.contains_key(key) => violations.push(Violation::Reappeared(*key)),
            _ => {}
        }
    }
    violations
}

/// Messages that a receiver rejected and that are not being redriven.
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

/// Messages that were delivered but never sent.
pub(super) fn invented(entries: &[Entry]) -> Vec<Violation> {
    let mut sent = BTreeSet::new();
    let mut violations = Vec::new();
    for Entry { key, event, .. } in entries {
        match event {
            Event::Sent(_) => drop(sent.insert(*key)),
            Event::Delivered(_) if !sent.contains(key) => {
                violations.push(Violation::Unexpected(format!("{key:#x} was delivered but never sent")));
            }
            _ => {}
        }
    }
    violations
}

/// Messages that a channel delivered after its dead-letter channel had delivered them, by pulls that began later.
pub(super) fn delivered_after_move(entries: &[Entry]) -> Vec<Violation> {
    let mut moved: BTreeMap<u64, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(delivery) = entry.delivery() else { continue };
        if delivery.moved {
            moved.entry(entry.key).or_insert(index);
        } else if moved.get(&entry.key).is_some_and(|moved| *moved < delivery.asked) {
            violations.push(Violation::DeliveredAfterMove(entry.key));
        }
    }
    violations
}

/// Messages that were delivered to pulls that began after they had expired.
pub(super) fn delivered_expired(entries: &[Entry]) -> Vec<Violation> {
    let (mut ttls, mut ends) = (BTreeMap::new(), BTreeMap::new());
    let mut violations = Vec::new();
    for Entry { at_ms, key, event } in entries {
        match event {
            Event::Sent(terms) => ttls.extend(terms.ttl_ms.map(|ttl| (*key, ttl))),
            Event::Stored(_) => {
                if let Some(ttl) = ttls.get(key) {
                    ends.entry(*key).or_insert(at_ms + ttl + LATE_MS);
                }
            }
            Event::Delivered(delivery) => {
                let asked_ms = delivery.asked.checked_sub(1).map_or(0, |last| entries[last].at_ms);
                if ends.get(key).is_some_and(|end| *end < asked_ms) {
                    violations.push(Violation::DeliveredExpired(*key));
                }
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Delivery, Terms,
            entry::{delivered, entries},
        },
        *,
    };

    #[test]
    fn a_delivery_after_the_settle_is_a_violation_and_two_before_it_are_not() {
        let mut events = vec![(1, delivered(1)), (1, delivered(2)), (1, Event::Ended(End::Settle))];
        assert_eq!(reappeared(&entries(events.clone())), []);
        events.extend([(1, Event::Redriving), (1, delivered(3))]);
        assert_eq!(reappeared(&entries(events)), [Violation::Reappeared(1)]);
    }

    #[test]
    fn a_dead_letter_is_delivered_only_after_a_redrive() {
        let dead = vec![(1, delivered(1)), (1, Event::Ended(End::Reject))];
        let comes = |with: &[Event]| {
            let more = with.iter().cloned().chain([delivered(1)]).map(|event| (1, event));
            reappeared(&entries(dead.iter().cloned().chain(more)))
        };
        assert_eq!(comes(&[Event::Redriving]), []);
        assert_eq!(comes(&[]), [Violation::Reappeared(1)]);
        assert_eq!(rejected(&entries(dead)), [1]);
    }

    #[test]
    fn a_message_that_was_never_sent_is_a_violation() {
        let sent = (1, Event::Sent(Terms::default()));
        assert_eq!(invented(&entries([sent, (1, delivered(1))])), []);
        assert_eq!(invented(&entries([(1, delivered(1))])).len(), 1);
    }

    #[test]
    fn a_channel_does_not_deliver_a_message_that_moved_to_its_dead_letter_channel() {
        let from = |moved, asked| (1, Event::Delivered(Delivery { moved, asked, ..Delivery::default() }));
        assert_eq!(delivered_after_move(&entries([from(false, 0), from(true, 1), from(false, 0)])), []);
        assert_eq!(
            delivered_after_move(&entries([from(true, 0), from(false, 1)])),
            [Violation::DeliveredAfterMove(1)]
        );
    }

    #[test]
    fn an_expired_message_is_not_delivered() {
        let at = |at_ms, event| Entry { at_ms, key: 1, event };
        let sent = Event::Sent(Terms { ttl_ms: Some(1000), ..Terms::default() });
        let asked = |asked| Event::Delivered(Delivery { asked, ..Delivery::default() });
        let lived =
            [at(0, sent), at(10, Event::Stored(1)), at(3000, Event::Refused), at(3020, Event::Refused)];
        let with = |asked_at| [&lived[..], &[at(3030, asked(asked_at))]].concat();
        assert_eq!(delivered_expired(&with(3)), []);
        assert_eq!(delivered_expired(&with(4)), [Violation::DeliveredExpired(1)]);
    }
}
