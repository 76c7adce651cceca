//! Every hand-out counts, but for those that the receiver says were none.

use std::collections::BTreeMap;

use super::{Entry, Event, Wrong};

/// What is known of a message's deliveries.
#[derive(Debug, Default)]
struct Seen {
    deliveries: u32,
    moved: bool,
    /// Not to be judged by what was before.
    unclear: bool,
}

/// Messages that came with no more deliveries than they had before, though none was said to be no delivery.
pub(super) fn uncounted(entries: &[Entry]) -> Vec<Wrong> {
    let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
    let mut last_index: BTreeMap<u64, usize> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for (index, Entry { key, event, .. }) in entries.iter().enumerate() {
        match event {
            Event::Came(delivery) => {
                let known = seen.entry(*key).or_default();
                // Only what was asked for after the last one had come was handed out after it.
                let after = last_index.insert(*key, index).is_some_and(|last| last < delivery.asked);
                let same_channel = known.moved == delivery.moved;
                if after && same_channel && !known.unclear && delivery.deliveries <= known.deliveries {
                    wrongs.push(Wrong::Uncounted(*key));
                }
                *known = Seen { deliveries: delivery.deliveries, moved: delivery.moved, unclear: false };
            }
            Event::Returning { counted: false } => seen.entry(*key).or_default().unclear = true,
            // It starts anew.
            Event::Redriving => seen.entry(*key).or_default().unclear = true,
            _ => {}
        }
    }
    wrongs
}

/// Messages delivered more often than `max` times.
pub(super) fn too_often(entries: &[Entry], max: u32) -> Vec<Wrong> {
    let too_often =
        |entry: &&Entry| entry.came().is_some_and(|delivery| !delivery.moved && delivery.deliveries > max);
    entries.iter().filter(too_often).map(|entry| Wrong::TooOften(entry.key)).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, entry::entries},
        *,
    };

    fn came(deliveries: u32, asked: usize) -> (u64, Event) {
        (1, Event::Came(Delivery { deliveries, asked, ..Delivery::default() }))
    }

    #[test]
    fn a_delivery_that_was_forgotten_is_seen() {
        assert_eq!(uncounted(&entries([came(1, 0), came(2, 1), came(4, 2)])), []);
        assert_eq!(uncounted(&entries([came(1, 0), came(1, 1)])), [Wrong::Uncounted(1)]);
    }

    #[test]
    fn a_hand_out_that_was_no_delivery_does_not_count() {
        let returned = (1, Event::Returning { counted: false });
        assert_eq!(uncounted(&entries([came(1, 0), returned, came(1, 2)])), []);
        assert_eq!(uncounted(&entries([came(3, 0), (1, Event::Redriving), came(1, 2)])), []);
    }

    #[test]
    fn one_that_is_delivered_beyond_the_limit_is_seen() {
        assert_eq!(too_often(&entries([came(1, 0), came(2, 1)]), 2), []);
        assert_eq!(too_often(&entries([came(3, 0)]), 2), [Wrong::TooOften(1)]);
    }
}
