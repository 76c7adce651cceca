//! What a receiver asks for: how long it waits, how long the message is its own, and what it says of earlier ones.

use http::HeaderMap;
use restante_wire::{
    ProblemType,
    channel::Delivery,
    header::{ACKNOWLEDGE, RECEIVE_ATTEMPT_ID, RESTANTE_SETTLE},
};

use crate::{
    channel::{Attempt, PullForm},
    core::{self, bounded_lease},
    http::{HttpError, header, meaning::expect_effects, query::Query},
    shared::Share,
};

/// The parameters of every kind of pull.
pub(super) const PARAMETERS: [&str; 3] = ["wait", "lease", "ack"];

/// What a pull asks for.
#[derive(Debug)]
pub(super) struct PullRequest {
    /// The lease, and the attempt.
    pub(super) asked: core::Pull,
    /// How long it waits.
    pub(super) wait: Wait,
    /// Settled before the answer leaves: at most once.
    pub(super) auto: bool,
    /// Leases to settle before the wait begins.
    pub(super) acknowledge: Vec<String>,
}

/// How long a receiver waits, and whether a preference said so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) seconds: u32,
    pub(super) preferred: bool,
}

impl PullRequest {
    /// Whether messages that do not leave go back. What was settled is gone, whatever becomes of the answer; and an attempt that has
    /// an id keeps its messages: its repeat gets them again, under the same leases.
    pub(super) fn is_given_back(&self) -> bool {
        !self.auto && self.asked.attempt.is_none()
    }

    /// What the query and headers of a pull say, within the channel's bounds; of a batch of at most so many messages, or of one.
    pub(super) fn parse(
        query: &Query<'_>,
        headers: &HeaderMap,
        delivery: &Delivery,
        answers: &Share,
        batch_max: Option<u32>,
    ) -> Result<Self, HttpError> {
        expect_effects(headers, &[ACKNOWLEDGE, RECEIVE_ATTEMPT_ID, RESTANTE_SETTLE])?;
        let preferred = header::prefer_wait(headers)?;
        let said = query.seconds("wait", 0)?;
        let seconds = said.or(preferred).unwrap_or(delivery.wait_seconds).min(delivery.max_wait_seconds);
        let wait = Wait { seconds, preferred: said.is_none() && preferred.is_some() };
        let auto = match query.word("ack") {
            None => false,
            Some("auto") => true,
            Some(other) => {
                let detail = format!(
                    "the parameter ack={other} is invalid; give auto, or leave it out to settle by the lease"
                );
                return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
            }
        };
        let attempt = header::receive_attempt_id(headers)?;
        if auto && attempt.is_some() {
            let detail = "ack=auto and Receive-Attempt-Id exclude each other: messages settled at once cannot be delivered \
                          again; leave one out";
            return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
        }
        let lease_seconds = query.seconds("lease", 1)?;
        if auto && lease_seconds.is_some() {
            let detail = "ack=auto and lease exclude each other: messages settled at once have no lease; leave one out";
            return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
        }
        let form = PullForm { batch_max, lease_seconds };
        let asked = core::Pull {
            lease: bounded_lease(delivery, lease_seconds),
            attempt: attempt.map(|id| Attempt { id: id.into(), form }),
            answers: answers.clone(),
        };
        Ok(Self { asked, wait, auto, acknowledge: header::acknowledge(headers)? })
    }
}
