//! Rule of a channel's order: the next message is always the oldest ready one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Event, Violation};

/// Messages whose first delivery went to a pull that began after a later message of the same sender was delivered. For
/// senders that wait for each answer. Delayed messages and messages of groups become ready in another order.
pub(super) fn overtaken(entries: &[Entry]) -> Vec<Violation> {
    let mut waits: BTreeSet<u64> = BTreeSet::new();
    let mut seen = BTreeSet::new();
    // For each sender, the deliveries, each with the newest message so far.
    let mut newest: BTreeMap<u64, Vec<(usize, u64)>> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let key = entry.key;
        if let Event::Sent(terms) = &entry.event
            && (terms.delayed || terms.group.is_some())
        {
            waits.insert(key);
        }
        let Some(delivery) = entry.delivery() else { continue };
        let receptions = newest.entry(key >> 32).or_default();
        let before = receptions.partition_point(|(at, _)| *at < delivery.asked);
        let later = before.checked_sub(1).map_or(0, |last| receptions[last].1);
        if seen.insert(key) && key < later && delivery.deliveries <= 1 && !waits.contains(&key) {
            violations.push(Violation::Overtaken { later, earlier: key });
        }
        let newest = receptions.last().map_or(key, |(_, newest)| *newest.max(&key));
        receptions.push((index, newest));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, Terms, entry::entries},
        *,
    };

    fn delivered(key: u64, deliveries: u32, asked: usize) -> (u64, Event) {
        (key, Event::Delivered(Delivery { id: 1, deliveries, asked, ..Delivery::default() }))
    }

    #[test]
    fn a_ready_message_that_was_overtaken_is_a_violation() {
        let wrong = Violation::Overtaken { later: 2, earlier: 1 };
        assert_eq!(overtaken(&entries([delivered(2, 1, 0), delivered(1, 1, 1)])), [wrong]);
    }

    #[test]
    fn concurrent_receivers_may_add_entries_in_any_order() {
        assert_eq!(overtaken(&entries([delivered(2, 1, 0), delivered(1, 1, 0)])), []);
    }

    #[test]
    fn a_message_with_a_lost_first_delivery_or_a_delay_may_be_overtaken() {
        assert_eq!(overtaken(&entries([delivered(2, 1, 0), delivered(1, 2, 1)])), []);
        let delayed = (1, Event::Sent(Terms { delayed: true, ..Terms::default() }));
        assert_eq!(overtaken(&entries([delayed, delivered(2, 1, 1), delivered(1, 1, 2)])), []);
    }

    #[test]
    fn messages_of_different_senders_have_no_order() {
        let (one, other) = (super::super::super::key(1, 1), super::super::super::key(2, 1));
        assert_eq!(overtaken(&entries([delivered(other, 1, 0), delivered(one, 1, 1)])), []);
    }
}
