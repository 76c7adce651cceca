//! Pulls whose answer may be lost: a repeat under the same attempt id gets what the first got.

use std::collections::HashMap;

use crate::channel::{AttemptId, Sequence, WaiterId};

/// What a pull with an attempt id came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It waits.
    Waiting(WaiterId),
    /// It got these messages, which it still has.
    Given(Vec<Sequence>),
}

/// The attempts of one channel: one for each receiver that waits, and one for each message that is leased, at the most.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_id: HashMap<AttemptId, Attempt>,
    by_message: HashMap<Sequence, AttemptId>,
}

impl Attempts {
    /// What an attempt came to, unless it has nothing any more.
    pub(super) fn get(&self, id: &AttemptId) -> Option<&Attempt> {
        self.by_id.get(id)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// An attempt waits.
    pub(super) fn waits(&mut self, id: &AttemptId, waiter: WaiterId) {
        self.by_id.insert(id.clone(), Attempt::Waiting(waiter));
    }

    /// An attempt waits no longer, unless a repeat does.
    pub(super) fn stops_waiting(&mut self, id: &AttemptId, waiter: WaiterId) {
        if self.by_id.get(id) == Some(&Attempt::Waiting(waiter)) {
            self.by_id.remove(id);
        }
    }

    /// Nobody waits any longer.
    pub(super) fn nobody_waits(&mut self) {
        self.by_id.retain(|_, attempt| matches!(attempt, Attempt::Given(_)));
    }

    /// An attempt got a message.
    pub(super) fn got(&mut self, id: &AttemptId, sequence: Sequence) {
        self.by_message.insert(sequence, id.clone());
        match self.by_id.get_mut(id) {
            Some(Attempt::Given(messages)) => messages.push(sequence),
            Some(Attempt::Waiting(_)) | None => {
                self.by_id.insert(id.clone(), Attempt::Given(vec![sequence]));
            }
        }
    }

    /// A message is not leased any more.
    pub(super) fn lost(&mut self, sequence: Sequence) {
        let Some(id) = self.by_message.remove(&sequence) else { return };
        if let Some(Attempt::Given(messages)) = self.by_id.get_mut(&id) {
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
        let (mut attempts, id) = (Attempts::default(), AttemptId::from("a"));
        attempts.got(&id, 1);
        attempts.got(&id, 2);
        assert_eq!(attempts.get(&id), Some(&Attempt::Given(vec![1, 2])));
        attempts.lost(1);
        attempts.lost(7);
        assert_eq!(attempts.get(&id), Some(&Attempt::Given(vec![2])));
        attempts.lost(2);
        assert_eq!(attempts.get(&id), None);
        assert!(attempts.by_message.is_empty());
    }
}
