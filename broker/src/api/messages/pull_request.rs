//! The parameters of a pull: wait, lease duration, and leases to acknowledge.

use http::HeaderMap;
use restante_wire::{
    ProblemType,
    channel::Delivery,
    header::{ACKNOWLEDGE, RECEIVE_ATTEMPT_ID, RESTANTE_SETTLE},
};

use crate::{
    api::refusal,
    channel::{Attempt, PullForm},
    http::{HttpError, effects::expect_effects, header, query::Query},
    service::Handouts,
    shard::{self, bounded_lease},
    shared::Share,
};

/// The query parameters of every kind of pull.
pub(in crate::api) const PARAMETERS: [&str; 3] = ["wait", "lease", "ack"];

#[derive(Debug)]
pub(in crate::api) struct PullRequest {
    /// The lease duration and the attempt id, as the worker needs them.
    pub(in crate::api) pull: shard::Pull,
    pub(in crate::api) wait: Wait,
    /// `ack=auto`: messages are settled before the answer is sent (at-most-once delivery).
    pub(in crate::api) auto: bool,
    /// Leases to settle before the wait begins.
    pub(in crate::api) acknowledge: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Wait {
    pub(in crate::api) seconds: u32,
    /// Whether the wait comes from `Prefer`, so that the answer confirms it.
    pub(in crate::api) preferred: bool,
}

impl PullRequest {
    /// Settles the messages of an answer, or waits until their leases are written. Settled messages are gone, even if
    /// the answer is lost. A pull with an attempt id keeps its messages: its repeat gets them with the same leases.
    pub(in crate::api) async fn finish(&self, handouts: &mut Handouts) -> Result<(), HttpError> {
        if self.auto {
            return handouts.settle().await.map_err(|_| refusal::store_failed());
        }
        handouts.written().await.map_err(|_| refusal::store_failed())?;
        if self.pull.attempt.is_some() {
            handouts.keep();
        }
        Ok(())
    }

    /// Parses the query and headers of a pull, and lowers wait and lease to the channel's maximums. `batch_max` is the
    /// maximum number of messages of a batch; `None` for a single message.
    pub(in crate::api) fn parse(
        query: &Query<'_>,
        headers: &HeaderMap,
        delivery: &Delivery,
        answers: &Share,
        batch_max: Option<u32>,
    ) -> Result<Self, HttpError> {
        expect_effects(headers, &[ACKNOWLEDGE, RECEIVE_ATTEMPT_ID, RESTANTE_SETTLE])?;
        let preferred = header::prefer_wait(headers)?;
        let requested = query.seconds("wait", 0)?;
        let seconds = requested.or(preferred).unwrap_or(delivery.wait_seconds).min(delivery.max_wait_seconds);
        let wait = Wait { seconds, preferred: requested.is_none() && preferred.is_some() };
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
            let detail = "ack=auto and Receive-Attempt-Id exclude each other: messages settled at once cannot be \
                          delivered again; leave one out";
            return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
        }
        let lease_seconds = query.seconds("lease", 1)?;
        if auto && lease_seconds.is_some() {
            let detail = "ack=auto and lease exclude each other: messages settled at once have no lease; leave one out";
            return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
        }
        let form = PullForm { batch_max, lease_seconds };
        let pull = shard::Pull {
            lease: bounded_lease(delivery, lease_seconds),
            attempt: attempt.map(|id| Attempt { id: id.into(), form }),
            answers: answers.clone(),
        };
        Ok(Self { pull, wait, auto, acknowledge: header::acknowledge(headers)? })
    }
}
