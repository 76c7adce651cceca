//! Commit batches in flight. The log may finish them in any order; answers are released in the order of the batches, so
//! that an answer implies that everything before it is stored. Answers that need no sync are released when everything
//! up to their batch is written, and wait for no sync.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use crate::{
    log::{BatchNumber, LogError, Sync},
    shard::ledger::commit_batch::CommitBatch,
};

#[derive(Debug)]
pub(in crate::shard) struct InFlightBatch {
    pub(in crate::shard) number: BatchNumber,
    pub(in crate::shard) group: Arc<CommitBatch>,
    pub(in crate::shard) sync: Sync,
    pub(in crate::shard) began: Instant,
}

#[derive(Debug)]
enum BatchState {
    Begun,
    Written,
    /// The batch is as durable as requested, or more, or never will be.
    Ended(Result<Sync, LogError>),
}

/// All batches in flight, oldest first.
#[derive(Debug, Default)]
pub(in crate::shard) struct InFlight {
    flights: VecDeque<(InFlightBatch, BatchState)>,
    /// The number of oldest batches that are written without a gap.
    written: usize,
}

impl InFlight {
    pub(in crate::shard) fn begin(&mut self, flight: InFlightBatch) {
        self.flights.push_back((flight, BatchState::Begun));
    }

    /// Records a report of the log about a batch.
    pub(in crate::shard) fn record_outcome(&mut self, number: BatchNumber, outcome: Result<Sync, LogError>) {
        let Some((flight, known)) = self.flights.iter_mut().find(|(flight, _)| flight.number == number)
        else {
            return;
        };
        *known = match outcome {
            Ok(Sync::Later) if flight.sync == Sync::Now => BatchState::Written,
            outcome => BatchState::Ended(outcome),
        };
    }

    /// The next batch that is written along with all before it.
    pub(in crate::shard) fn next_written(&mut self) -> Option<&Arc<CommitBatch>> {
        let (flight, known) = self.flights.get(self.written)?;
        match known {
            BatchState::Begun | BatchState::Ended(Err(_)) => None,
            BatchState::Written | BatchState::Ended(Ok(_)) => {
                self.written += 1;
                Some(&flight.group)
            }
        }
    }

    /// Removes the oldest batch, once it has ended.
    pub(in crate::shard) fn take_ended(&mut self) -> Option<(InFlightBatch, Result<Sync, LogError>)> {
        match self.flights.pop_front()? {
            (flight, BatchState::Ended(outcome)) => {
                self.written = self.written.saturating_sub(1);
                Some((flight, outcome))
            }
            flying => {
                self.flights.push_front(flying);
                None
            }
        }
    }

    /// Removes all batches.
    pub(in crate::shard) fn take_all(&mut self) -> impl Iterator<Item = Arc<CommitBatch>> {
        self.written = 0;
        self.flights.drain(..).map(|(flight, _)| flight.group)
    }

    pub(in crate::shard) fn newest(&self) -> Option<&Arc<CommitBatch>> {
        self.flights.back().map(|(flight, _)| &flight.group)
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
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
            in_flight.begin(InFlightBatch {
                number: BatchNumber(number),
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
    fn batches_that_end_in_any_order_are_reported_in_their_own_order() {
        let mut in_flight = three();
        in_flight.record_outcome(BatchNumber(3), Ok(Sync::Now));
        in_flight.record_outcome(BatchNumber(2), Ok(Sync::Now));
        assert_eq!(ended(&mut in_flight), []);
        in_flight.record_outcome(BatchNumber(1), Ok(Sync::Now));
        assert_eq!(ended(&mut in_flight), [(1, true), (2, true), (3, true)]);
        assert!(in_flight.is_empty());
    }

    #[test]
    fn a_failure_waits_for_the_batches_before_it() {
        let mut in_flight = three();
        in_flight.record_outcome(BatchNumber(2), Err(LogError::Poisoned));
        assert_eq!(ended(&mut in_flight), []);
        in_flight.record_outcome(BatchNumber(1), Ok(Sync::Now));
        assert_eq!(ended(&mut in_flight), [(1, true), (2, false)]);
        assert_eq!(in_flight.take_all().count(), 1, "the last one remains, to fail with it");
    }

    #[test]
    fn a_batch_is_reported_as_written_when_all_before_it_are_without_waiting_for_a_sync() {
        let mut in_flight = three();
        let written =
            |in_flight: &mut InFlight| std::iter::from_fn(|| in_flight.next_written().map(drop)).count();
        in_flight.record_outcome(BatchNumber(2), Ok(Sync::Later));
        assert_eq!(written(&mut in_flight), 0);
        in_flight.record_outcome(BatchNumber(1), Ok(Sync::Later));
        assert_eq!((written(&mut in_flight), ended(&mut in_flight)), (2, vec![]));
        in_flight.record_outcome(BatchNumber(1), Ok(Sync::Now));
        in_flight.record_outcome(BatchNumber(3), Ok(Sync::Later));
        assert_eq!((written(&mut in_flight), ended(&mut in_flight)), (1, vec![(1, true)]));
        in_flight.record_outcome(BatchNumber(2), Ok(Sync::Now));
        in_flight.record_outcome(BatchNumber(3), Err(LogError::Poisoned));
        assert_eq!((written(&mut in_flight), ended(&mut in_flight)), (0, vec![(2, true), (3, false)]));
    }
}
