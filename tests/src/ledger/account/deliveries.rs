//! Rule: every delivery counts, unless the receiver released it as uncounted.

use std::collections::BTreeMap;

use super::{Entry, Event, Violation};

/// The last delivery of a message.
#[derive(Debug, Default)]
struct Seen {
    deliveries: u32,
    moved: bool,
    /// The next delivery cannot be compared with this one.
    unclear: bool,
}

/// Messages whose delivery count did not grow, although no delivery was released as uncounted.
pub(super) fn uncounted(entries: &[Entry]) -> Vec<Violation> {
    let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
    let mut last_index: BTreeMap<u64, usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, Entry { key, event, .. }) in entries.iter().enumerate() {
        match event {
            Event::Delivered(delivery) => {
                let known = seen.entry(*key).or_default();
                // Only a pull that began after the last delivery arrived got a later delivery.
                let after = last_index.insert(*key, index).is_some_and(|last| last < delivery.asked);
                let same_channel = known.moved == delivery.moved;
                if after && same_channel && !known.unclear && delivery.deliveries <= known.deliveries {
                    violations.push(Violation::Uncounted(*key));
                }
                *known = Seen { deliveries: delivery.deliveries, moved: delivery.moved, unclear: false };
            }
            Event::Releasing { counted: false } => seen.entry(*key).or_default().unclear = true,
            // A redrive resets the count.
            Event::Redriving => seen.entry(*key).or_default().unclear = true,
            _ => {}
        }
    }
    violations
}

/// Messages delivered more often than `max` times.
pub(super) fn too_many_deliveries(entries: &[Entry], max: u32) -> Vec<Violation> {
    let too_many_deliveries = |entry: &&Entry| {
        entry.delivery().is_some_and(|delivery| !delivery.moved && delivery.deliveries > max)
    };
    entries.iter().filter(too_many_deliveries).map(|entry| Violation::TooManyDeliveries(entry.key)).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, entry::entries},
        *,
    };

    fn delivered(deliveries: u32, asked: usize) -> (u64, Event) {
        (1, Event::Delivered(Delivery { deliveries, asked, ..Delivery::default() }))
    }

    #[test]
    fn a_delivery_that_was_not_counted_is_a_violation() {
        assert_eq!(uncounted(&entries([delivered(1, 0), delivered(2, 1), delivered(4, 2)])), []);
        assert_eq!(uncounted(&entries([delivered(1, 0), delivered(1, 1)])), [Violation::Uncounted(1)]);
    }

    #[test]
    fn an_uncounted_release_or_a_redrive_explains_the_count() {
        let returned = (1, Event::Releasing { counted: false });
        assert_eq!(uncounted(&entries([delivered(1, 0), returned, delivered(1, 2)])), []);
        assert_eq!(uncounted(&entries([delivered(3, 0), (1, Event::Redriving), delivered(1, 2)])), []);
    }

    #[test]
    fn a_delivery_beyond_the_limit_is_a_violation() {
        assert_eq!(too_many_deliveries(&entries([delivered(1, 0), delivered(2, 1)]), 2), []);
        assert_eq!(too_many_deliveries(&entries([delivered(3, 0)]), 2), [Violation::TooManyDeliveries(1)]);
    }
}
