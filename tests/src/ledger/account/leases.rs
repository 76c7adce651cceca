//! A leased message is one receiver's.

use std::collections::BTreeMap;

use super::{Entry, Event, Wrong};

/// Messages that came while a lease on them ran that nobody had begun to end. Until its holder asks for something else, a
/// lease runs as long as it was told.
pub(super) fn leased_twice(entries: &[Entry]) -> Vec<Wrong> {
    let mut until: BTreeMap<u64, u64> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for Entry { at_ms, key, event } in entries {
        match event {
            Event::Came(delivery) => {
                if until.get(key).is_some_and(|until| *at_ms < *until) {
                    wrongs.push(Wrong::LeasedTwice(*key));
                }
                until.insert(*key, delivery.until_ms);
            }
            Event::Renewed { until_ms } => {
                until.entry(*key).and_modify(|until| *until = *until_ms);
            }
            Event::Ending(_) | Event::Returning { .. } | Event::Redriving => drop(until.remove(key)),
            _ => {}
        }
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, entry::entries},
        *,
    };

    fn leased(until_ms: u64) -> (u64, Event) {
        (1, Event::Came(Delivery { until_ms, ..Delivery::default() }))
    }

    #[test]
    fn a_message_that_comes_while_its_lease_runs_is_seen() {
        assert_eq!(leased_twice(&entries([leased(2), leased(2)])), [Wrong::LeasedTwice(1)]);
        assert_eq!(leased_twice(&entries([leased(1), leased(2)])), []);
    }

    #[test]
    fn a_renewed_lease_runs_longer_and_one_that_is_given_back_no_longer() {
        let renewed = (1, Event::Renewed { until_ms: 5 });
        assert_eq!(leased_twice(&entries([leased(1), renewed, leased(9)])), [Wrong::LeasedTwice(1)]);
        let returning = (1, Event::Returning { counted: true });
        assert_eq!(leased_twice(&entries([leased(9), returning, leased(9)])), []);
    }
}
