//! Remembers the answers to redrives and purges by their idempotency keys, so that a repeat is not done twice.

use std::collections::VecDeque;

use axum::body::Bytes;
use serde_json::Value;
use uuid::Uuid;

/// How many answers are remembered. A repeat comes within seconds, and there are few such requests.
const ANSWERS_MAX: usize = 1000;

/// A requested redrive or purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkRequest {
    pub(super) what: &'static str,
    pub(super) channel: Uuid,
    pub(super) key: Option<String>,
    pub(super) body: Bytes,
}

/// The result of looking up a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The key is not remembered.
    Never,
    /// The same request had this answer.
    Same(Value),
    /// The key was used for a different request.
    Other,
}

/// The latest answers, oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<(WorkRequest, Value)>);

impl Answers {
    pub(super) fn get(&self, request: &WorkRequest) -> Known {
        let Some(key) = &request.key else { return Known::Never };
        match self.0.iter().find(|(other, _)| other.key.as_ref() == Some(key)) {
            None => Known::Never,
            Some((other, answer)) if other == request => Known::Same(answer.clone()),
            Some(_) => Known::Other,
        }
    }

    /// Remembers the answer to a request that has a key.
    pub(super) fn remember(&mut self, request: WorkRequest, answer: Value) {
        if request.key.is_none() {
            return;
        }
        if self.0.len() == ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((request, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_belongs_to_one_operation_and_requests_without_a_key_are_always_new() {
        let request = |key: Option<&str>, body: &'static str| WorkRequest {
            what: "purge",
            channel: Uuid::nil(),
            key: key.map(Into::into),
            body: Bytes::from_static(body.as_bytes()),
        };
        let mut answers = Answers::default();
        answers.remember(request(Some("k"), "a"), Value::from(1));
        answers.remember(request(None, "a"), Value::from(2));
        assert_eq!(answers.get(&request(Some("k"), "a")), Known::Same(Value::from(1)));
        assert_eq!(answers.get(&request(Some("k"), "b")), Known::Other);
        assert_eq!(answers.get(&request(None, "a")), Known::Never);
        for number in 0..ANSWERS_MAX {
            answers.remember(request(Some(&number.to_string()), "a"), Value::Null);
        }
        assert_eq!(answers.get(&request(Some("k"), "a")), Known::Never);
    }
}
