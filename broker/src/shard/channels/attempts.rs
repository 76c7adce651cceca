//! Pulls with an attempt id, whose answer may be lost: a repeat gets the same messages.

use std::collections::HashMap;

use crate::channel::{Attempt, AttemptId, PullForm, Sequence, WaiterId};

/// State of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::shard) enum Outcome {
    Waiting(WaiterId),
    /// It got these messages and still holds their leases.
    Delivered(Vec<Sequence>),
}

/// The repeat asks for something else than the first pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::shard) struct OtherForm;

/// The attempts of one channel: at most one for each waiting receiver and each leased message.
#[derive(Debug, Default)]
pub(in crate::shard) struct Attempts {
    by_id: HashMap<AttemptId, (PullForm, Outcome)>,
    by_message: HashMap<Sequence, AttemptId>,
}

impl Attempts {
    /// The state of an attempt; none once it holds nothing.
    pub(in crate::shard) fn get(&self, attempt: &Attempt) -> Result<Option<&Outcome>, OtherForm> {
        match self.by_id.get(&attempt.id) {
            Some((form, _)) if *form != attempt.form => Err(OtherForm),
            known => Ok(known.map(|(_, outcome)| outcome)),
        }
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(in crate::shard) fn set_waiting(&mut self, attempt: &Attempt, waiter: WaiterId) {
        self.by_id.insert(attempt.id.clone(), (attempt.form, Outcome::Waiting(waiter)));
    }

    /// Removes a waiting attempt, unless a repeat has taken over its place.
    pub(in crate::shard) fn stop_waiting_attempt(&mut self, attempt: &Attempt, waiter: WaiterId) {
        let waits = |(_, outcome): &(PullForm, Outcome)| *outcome == Outcome::Waiting(waiter);
        if self.by_id.get(&attempt.id).is_some_and(waits) {
            self.by_id.remove(&attempt.id);
        }
    }

    /// Removes all waiting attempts.
    pub(in crate::shard) fn stop_all_waiting(&mut self) {
        self.by_id.retain(|_, (_, outcome)| matches!(outcome, Outcome::Delivered(_)));
    }

    /// Adds a message to an attempt.
    pub(in crate::shard) fn delivered(&mut self, attempt: &Attempt, sequence: Sequence) {
        self.by_message.insert(sequence, attempt.id.clone());
        match self.by_id.get_mut(&attempt.id) {
            Some((_, Outcome::Delivered(messages))) => messages.push(sequence),
            Some((_, Outcome::Waiting(_))) | None => {
                self.by_id.insert(attempt.id.clone(), (attempt.form, Outcome::Delivered(vec![sequence])));
            }
        }
    }

    /// Removes a message whose lease ended.
    pub(in crate::shard) fn lease_ended(&mut self, sequence: Sequence) {
        let Some(id) = self.by_message.remove(&sequence) else { return };
        if let Some((_, Outcome::Delivered(messages))) = self.by_id.get_mut(&id) {
            messages.retain(|other| *other != sequence);
            if messages.is_empty() {
                self.by_id.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_remembered_while_it_holds_a_message() {
        let (mut attempts, a) = (Attempts::default(), Attempt { id: "a".into(), form: PullForm::default() });
        attempts.delivered(&a, 1);
        attempts.delivered(&a, 2);
        assert_eq!(attempts.get(&a), Ok(Some(&Outcome::Delivered(vec![1, 2]))));
        attempts.lease_ended(1);
        attempts.lease_ended(7);
        assert_eq!(attempts.get(&a), Ok(Some(&Outcome::Delivered(vec![2]))));
        attempts.lease_ended(2);
        assert_eq!(attempts.get(&a), Ok(None));
        assert!(attempts.by_message.is_empty());
    }

    #[test]
    fn an_id_belongs_to_one_form_of_pull_while_it_holds_a_message() {
        let of = |batch_max, lease_seconds| Attempt {
            id: "a".into(),
            form: PullForm { batch_max, lease_seconds },
        };
        let mut attempts = Attempts::default();
        attempts.delivered(&of(Some(2), Some(30)), 1);
        for other in [of(None, Some(30)), of(Some(3), Some(30)), of(Some(2), None), of(Some(2), Some(31))] {
            assert_eq!(attempts.get(&other), Err(OtherForm), "{other:?}");
        }
        attempts.lease_ended(1);
        assert_eq!(attempts.get(&of(None, None)), Ok(None));
    }
}
