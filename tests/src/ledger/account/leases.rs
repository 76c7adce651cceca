//! Rule: only one receiver has a leased message.

use std::collections::BTreeMap;

use super::{Entry, Event, Violation};

/// Messages that were delivered during a lease whose receiver had not begun to end it. A lease runs for its granted
/// duration until its receiver settles, rejects or releases the message.
pub(super) fn leased_twice(entries: &[Entry]) -> Vec<Violation> {
    let mut until: BTreeMap<u64, u64> = BTreeMap::new();
    let mut violations = Vec::new();
    for Entry { at_ms, key, event } in entries {
        match event {
            Event::Delivered(delivery) => {
                if until.get(key).is_some_and(|until| *at_ms < *until) {
                    violations.push(Violation::LeasedTwice(*key));
                }
                until.insert(*key, delivery.until_ms);
            }
            Event::Renewed { until_ms } => {
                until.entry(*key).and_modify(|until| *until = *until_ms);
            }
            Event::Ending(_) | Event::Releasing { .. } | Event::Redriving => drop(until.remove(key)),
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Delivery, entry::entries},
        *,
    };

    fn leased(until_ms: u64) -> (u64, Event) {
        (1, Event::Delivered(Delivery { until_ms, ..Delivery::default() }))
    }

    #[test]
    fn a_delivery_during_a_lease_is_a_violation() {
        assert_eq!(leased_twice(&entries([leased(2), leased(2)])), [Violation::LeasedTwice(1)]);
        assert_eq!(leased_twice(&entries([leased(1), leased(2)])), []);
    }

    #[test]
    fn a_renewal_extends_a_lease_and_a_release_ends_it() {
        let renewed = (1, Event::Renewed { until_ms: 5 });
        assert_eq!(leased_twice(&entries([leased(1), renewed, leased(9)])), [Violation::LeasedTwice(1)]);
        let returning = (1, Event::Releasing { counted: true });
        assert_eq!(leased_twice(&entries([leased(9), returning, leased(9)])), []);
    }
}
