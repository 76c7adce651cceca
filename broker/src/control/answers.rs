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
    pub(super) fn get(&self, asked: &WorkRequest) -> Known {
        let Some(key) = &asked.key else { return Known::Never };
        match self.0.iter().find(|(other, _)| other.key.as_ref() == Some(key)) {
            None => Known::Never,
            Some((other, answer)) if other == asked => Known::Same(answer.clone()),
            Some(_) => Known::Other,
        }
    }

    /// Remembers the answer to a request that has a key.
    pub(super) fn remember(&mut self, asked: WorkRequest, answer: Value) {
        if asked.key.is_none() {
            return;
        }
        if self.0.len() == ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((asked, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_belongs_to_one_operation_and_requests_without_a_key_are_always_new() {
        let asked = |key: Option<&str>, body: &'static str| WorkRequest {
            what: "purge",
            channel: Uuid::nil(),
            key: key.map(Into::into),
            body: Bytes::from_static(body.as_bytes()),
        };
        let mut answers = Answers::default();
        answers.remember(asked(Some("k"), "a"), Value::from(1));
        answers.remember(asked(None, "a"), Value::from(2));
        assert_eq!(answers.get(&asked(Some("k"), "a")), Known::Same(Value::from(1)));
        assert_eq!(answers.get(&asked(Some("k"), "b")), Known::Other);
        assert_eq!(answers.get(&asked(None, "a")), Known::Never);
        for number in 0..ANSWERS_MAX {
            answers.remember(asked(Some(&number.to_string()), "a"), Value::Null);
        }
        assert_eq!(answers.get(&asked(Some("k"), "a")), Known::Never);
    }
}
