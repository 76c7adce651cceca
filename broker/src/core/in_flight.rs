//! The groups that the log is committing. They may be done in any order; whoever waits is told in the order of the groups,
//! so that an answer says that everything before it is stored as well.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::group::Group;
use crate::log::{GroupNumber, LogError, Sync};

/// A group on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) number: GroupNumber,
    pub(super) group: Arc<Group>,
    pub(super) sync: Sync,
    pub(super) began: Instant,
}

/// All that are on their way, oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight(VecDeque<(Flight, Option<Result<(), LogError>>)>);

impl InFlight {
    /// One more.
    pub(super) fn begin(&mut self, flight: Flight) {
        self.0.push_back((flight, None));
    }

    /// The log says how a group went.
    pub(super) fn ended(&mut self, number: GroupNumber, outcome: Result<(), LogError>) {
        if let Some((_, ended)) = self.0.iter_mut().find(|(flight, _)| flight.number == number) {
            *ended = Some(outcome);
        }
    }

    /// The oldest, once it ended; it is in flight no more.
    pub(super) fn take_ended(&mut self) -> Option<(Flight, Result<(), LogError>)> {
        let (flight, ended) = self.0.pop_front()?;
        match ended {
            Some(outcome) => Some((flight, outcome)),
            None => {
                self.0.push_front((flight, None));
                None
            }
        }
    }

    /// All groups: none is in flight any more.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<Group>> {
        self.0.drain(..).map(|(flight, _)| flight.group)
    }

    /// The newest.
    pub(super) fn newest(&self) -> Option<&Arc<Group>> {
        self.0.back().map(|(flight, _)| &flight.group)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> InFlight {
        let mut in_flight = InFlight::default();
        for number in 1..=3 {
            let group = Arc::default();
            in_flight.begin(Flight {
                number: GroupNumber(number),
                group,
                sync: Sync::Now,
                began: Instant::now(),
            });
        }
        in_flight
    }

    fn told(in_flight: &mut InFlight) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| in_flight.take_ended())
            .map(|(flight, outcome)| (flight.number.0, outcome.is_ok()))
            .collect()
    }

    #[test]
    fn groups_that_end_in_any_order_are_told_in_their_own() {
        let mut in_flight = three();
        in_flight.ended(GroupNumber(3), Ok(()));
        in_flight.ended(GroupNumber(2), Ok(()));
        assert_eq!(told(&mut in_flight), []);
        in_flight.ended(GroupNumber(1), Ok(()));
        assert_eq!(told(&mut in_flight), [(1, true), (2, true), (3, true)]);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn a_failure_waits_for_the_groups_before_it() {
        let mut in_flight = three();
        in_flight.ended(GroupNumber(2), Err(LogError::Poisoned));
        assert_eq!(told(&mut in_flight), []);
        in_flight.ended(GroupNumber(1), Ok(()));
        assert_eq!(told(&mut in_flight), [(1, true), (2, false)]);
        assert_eq!(in_flight.take_all().count(), 1, "the last one is left to fail with it");
    }
}
