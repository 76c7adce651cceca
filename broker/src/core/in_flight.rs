//! The groups that the log is committing. They may be done in any order; whoever waits is told in the order of the groups, so
//! that an answer says that everything before it is stored as well. Who needs no sync is told when all is written up to
//! there, and waits for nobody's sync.

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

/// What is known of a group.
#[derive(Debug)]
enum Known {
    /// It is on its way.
    Begun,
    /// It is written.
    Written,
    /// It is as durable as it was to be, or more, or never will be.
    Ended(Result<Sync, LogError>),
}

/// All that are on their way, oldest first.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    flights: VecDeque<(Flight, Known)>,
    /// How many of the oldest are known to be written, all in a row.
    written: usize,
}

impl InFlight {
    /// One more.
    pub(super) fn begin(&mut self, flight: Flight) {
        self.flights.push_back((flight, Known::Begun));
    }

    /// The log says how far a group has come.
    pub(super) fn told(&mut self, number: GroupNumber, outcome: Result<Sync, LogError>) {
        let Some((flight, known)) = self.flights.iter_mut().find(|(flight, _)| flight.number == number)
        else {
            return;
        };
        *known = match outcome {
            Ok(Sync::Later) if flight.sync == Sync::Now => Known::Written,
            outcome => Known::Ended(outcome),
        };
    }

    /// The next group that is written, and all before it.
    pub(super) fn next_written(&mut self) -> Option<&Arc<Group>> {
        let (flight, known) = self.flights.get(self.written)?;
        match known {
            Known::Begun | Known::Ended(Err(_)) => None,
            Known::Written | Known::Ended(Ok(_)) => {
                self.written += 1;
                Some(&flight.group)
            }
        }
    }

    /// The oldest, once it ended; it is in flight no more.
    pub(super) fn take_ended(&mut self) -> Option<(Flight, Result<Sync, LogError>)> {
        match self.flights.pop_front()? {
            (flight, Known::Ended(outcome)) => {
                self.written = self.written.saturating_sub(1);
                Some((flight, outcome))
            }
            flying => {
                self.flights.push_front(flying);
                None
            }
        }
    }

    /// All groups: none is in flight any more.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<Group>> {
        self.written = 0;
        self.flights.drain(..).map(|(flight, _)| flight.group)
    }

    /// The newest.
    pub(super) fn newest(&self) -> Option<&Arc<Group>> {
        self.flights.back().map(|(flight, _)| &flight.group)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flights.is_empty()
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

    fn ended(in_flight: &mut InFlight) -> Vec<(u64, bool)> {
        std::iter::from_fn(|| in_flight.take_ended())
            .map(|(flight, outcome)| (flight.number.0, outcome.is_ok()))
            .collect()
    }

    #[test]
    fn groups_that_end_in_any_order_are_told_in_their_own() {
        let mut in_flight = three();
        in_flight.told(GroupNumber(3), Ok(Sync::Now));
        in_flight.told(GroupNumber(2), Ok(Sync::Now));
        assert_eq!(ended(&mut in_flight), []);
        in_flight.told(GroupNumber(1), Ok(Sync::Now));
        assert_eq!(ended(&mut in_flight), [(1, true), (2, true), (3, true)]);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn a_failure_waits_for_the_groups_before_it() {
        let mut in_flight = three();
        in_flight.told(GroupNumber(2), Err(LogError::Poisoned));
        assert_eq!(ended(&mut in_flight), []);
        in_flight.told(GroupNumber(1), Ok(Sync::Now));
        assert_eq!(ended(&mut in_flight), [(1, true), (2, false)]);
        assert_eq!(in_flight.take_all().count(), 1, "the last one is left to fail with it");
    }

    #[test]
    fn a_group_is_told_as_written_when_all_before_it_are_and_no_sync_is_waited_for() {
        let mut in_flight = three();
        let written =
            |in_flight: &mut InFlight| std::iter::from_fn(|| in_flight.next_written().map(drop)).count();
        in_flight.told(GroupNumber(2), Ok(Sync::Later));
        assert_eq!(written(&mut in_flight), 0);
        in_flight.told(GroupNumber(1), Ok(Sync::Later));
        assert_eq!((written(&mut in_flight), ended(&mut in_flight)), (2, vec![]));
        in_flight.told(GroupNumber(1), Ok(Sync::Now));
        in_flight.told(GroupNumber(3), Ok(Sync::Later));
        assert_eq!((written(&mut in_flight), ended(&mut in_flight)), (1, vec![(1, true)]));
        in_flight.told(GroupNumber(2), Ok(Sync::Now));
        in_flight.told(GroupNumber(3), Err(LogError::Poisoned));
        assert_eq!((written(&mut in_flight), ended(&mut in_flight)), (0, vec![(2, true), (3, false)]));
    }
}
