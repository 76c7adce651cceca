//! The order of a channel: the next message is always the oldest one that is ready.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Event, Wrong};

/// Messages that came for the first time, never handed out before, to a receiver that asked when a later one of the same
/// sender had come already. For senders that wait for each answer. Those that say when they are due, or whose group waits,
/// are ready in another order.
pub(super) fn overtaken(entries: &[Entry]) -> Vec<Wrong> {
    let mut waits: BTreeSet<u64> = BTreeSet::new();
    let mut seen = BTreeSet::new();
    // Of each sender: the receptions, each with the newest message so far.
    let mut newest: BTreeMap<u64, Vec<(usize, u64)>> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let key = entry.key;
        if let Event::Sent(terms) = &entry.event
            && (terms.delayed || terms.group.is_some())
        {
            waits.insert(key);
        }
        let Some(delivery) = entry.came() else { continue };
        let receptions = newest.entry(key >> 32).or_default();
        let before = receptions.partition_point(|(at, _)| *at < delivery.asked);
        let later = before.checked_sub(1).map_or(0, |last| receptions[last].1);
        if seen.insert(key) && key < later && delivery.deliveries <= 1 && !waits.contains(&key) {
            wrongs.push(Wrong::Overtaken { later, earlier: key });
        }
        let newest = receptions.last().map_or(key, |(_, newest)| *newest.max(&key));
        receptions.push((index, newest));
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, Terms, entry::entries},
        *,
    };

    fn came(key: u64, deliveries: u32, asked: usize) -> (u64, Event) {
        (key, Event::Came(Delivery { id: 1, deliveries, asked, ..Delivery::default() }))
    }

    #[test]
    fn one_that_was_overtaken_while_it_was_ready_is_seen() {
        let wrong = Wrong::Overtaken { later: 2, earlier: 1 };
        assert_eq!(overtaken(&entries([came(2, 1, 0), came(1, 1, 1)])), [wrong]);
    }

    #[test]
    fn two_receivers_that_asked_at_one_time_may_write_in_any_order() {
        assert_eq!(overtaken(&entries([came(2, 1, 0), came(1, 1, 0)])), []);
    }

    #[test]
    fn one_whose_first_delivery_was_lost_or_that_is_not_due_may_be_overtaken() {
        assert_eq!(overtaken(&entries([came(2, 1, 0), came(1, 2, 1)])), []);
        let delayed = (1, Event::Sent(Terms { delayed: true, ..Terms::default() }));
        assert_eq!(overtaken(&entries([delayed, came(2, 1, 1), came(1, 1, 2)])), []);
    }

    #[test]
    fn senders_have_no_order_among_each_other() {
        let (one, other) = (super::super::super::key(1, 1), super::super::super::key(2, 1));
        assert_eq!(overtaken(&entries([came(other, 1, 0), came(one, 1, 1)])), []);
    }
}
