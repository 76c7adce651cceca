//! Pulls whose answer may be lost: a repeat under the same attempt id gets what the first got.

use std::collections::HashMap;

use crate::channel::{Attempt, AttemptId, PullForm, Sequence, WaiterId};

/// What a pull with an attempt id came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits.
    Waiting(WaiterId),
    /// It got these messages, which it still has.
    Given(Vec<Sequence>),
}

/// A repeat asks for something else than the pull that it would repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OtherForm;

/// The attempts of one channel: one for each receiver that waits, and one for each message that is leased, at the most.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_id: HashMap<AttemptId, (PullForm, Outcome)>,
    by_message: HashMap<Sequence, AttemptId>,
}

impl Attempts {
    /// What an attempt came to, unless it has nothing any more.
    pub(super) fn get(&self, attempt: &Attempt) -> Result<Option<&Outcome>, OtherForm> {
        match self.by_id.get(&attempt.id) {
            Some((form, _)) if *form != attempt.form => Err(OtherForm),
            known => Ok(known.map(|(_, outcome)| outcome)),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// An attempt waits.
    pub(super) fn waits(&mut self, attempt: &Attempt, waiter: WaiterId) {
        self.by_id.insert(attempt.id.clone(), (attempt.form, Outcome::Waiting(waiter)));
    }

    /// An attempt waits no longer, unless a repeat does.
    pub(super) fn stops_waiting(&mut self, attempt: &Attempt, waiter: WaiterId) {
        let waits = |(_, outcome): &(PullForm, Outcome)| *outcome == Outcome::Waiting(waiter);
        if self.by_id.get(&attempt.id).is_some_and(waits) {
            self.by_id.remove(&attempt.id);
        }
    }

    /// Nobody waits any longer.
    pub(super) fn nobody_waits(&mut self) {
        self.by_id.retain(|_, (_, outcome)| matches!(outcome, Outcome::Given(_)));
    }

    /// An attempt got a message.
    pub(super) fn got(&mut self, attempt: &Attempt, sequence: Sequence) {
        self.by_message.insert(sequence, attempt.id.clone());
        match self.by_id.get_mut(&attempt.id) {
            Some((_, Outcome::Given(messages))) => messages.push(sequence),
            Some((_, Outcome::Waiting(_))) | None => {
                self.by_id.insert(attempt.id.clone(), (attempt.form, Outcome::Given(vec![sequence])));
            }
        }
    }

    /// A message is not leased any more.
    pub(super) fn lost(&mut self, sequence: Sequence) {
        let Some(id) = self.by_message.remove(&sequence) else { return };
        if let Some((_, Outcome::Given(messages))) = self.by_id.get_mut(&id) {
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
    fn an_attempt_is_remembered_for_as_long_as_it_has_a_message() {
        let (mut attempts, a) = (Attempts::default(), Attempt { id: "a".into(), form: PullForm::default() });
        attempts.got(&a, 1);
        attempts.got(&a, 2);
        assert_eq!(attempts.get(&a), Ok(Some(&Outcome::Given(vec![1, 2]))));
        attempts.lost(1);
        attempts.lost(7);
        assert_eq!(attempts.get(&a), Ok(Some(&Outcome::Given(vec![2]))));
        attempts.lost(2);
        assert_eq!(attempts.get(&a), Ok(None));
        assert!(attempts.by_message.is_empty());
    }

    #[test]
    fn an_id_is_one_form_of_pull_until_it_has_nothing_any_more() {
        let of = |batch_max, lease_seconds| Attempt {
            id: "a".into(),
            form: PullForm { batch_max, lease_seconds },
        };
        let mut attempts = Attempts::default();
        attempts.got(&of(Some(2), Some(30)), 1);
        for other in [of(None, Some(30)), of(Some(3), Some(30)), of(Some(2), None), of(Some(2), Some(31))] {
            assert_eq!(attempts.get(&other), Err(OtherForm), "{other:?}");
        }
        attempts.lost(1);
        assert_eq!(attempts.get(&of(None, None)), Ok(None));
    }
}
