//! Settling, releasing, rejecting and renewing by lease token: what a message's receiver says about it, from this process
//! or, with the token handed on, from another.

mod bulk;

use std::time::Duration;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use restante_wire::{ProblemType, header, path};
use tokio::time::Instant;

use crate::{
    answer::Answer,
    client::{Call, Client},
    error::RequestError,
    retry::{RetryFailure, until_answered},
};

/// What becomes of a message, by the word of its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is done: out of the channel.
    Settle,
    /// It is given back.
    Release(ReleaseOptions),
    /// It is given up: to the dead letters.
    Reject {
        /// Why, for whoever looks at the dead letters; at most 255 characters.
        reason: Option<String>,
    },
}

/// How a message is given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// For how many seconds nobody gets it; without a number, for the channel's back-off.
    pub delay_seconds: Option<u32>,
    /// The hand-out does not count as a delivery, for instance because the worker shuts down. Such a message has no
    /// back-off.
    pub uncounted: bool,
}

/// Why a lease could not be settled, released, rejected or renewed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SettleError {
    /// The lease ended; nobody has the message now, and the next receiver gets it.
    #[error(
        "the lease has ended, and the message is handed out again: ask for a longer lease, or renew it in time"
    )]
    Expired,
    /// The lease ended, and another receiver has the message.
    #[error(
        "the lease has ended, and another receiver has the message: ask for a longer lease, or renew it in time"
    )]
    Superseded,
    /// This lease gave the message back.
    #[error("the lease was released before, and the message is handed out again")]
    Released,
    /// The message is gone from the channel: there is nothing to release or renew.
    #[error("the message was settled before: there is nothing to release or renew")]
    Settled,
    /// The broker never issued this token, or it was changed on the way.
    #[error(
        "the broker never issued this lease: check that it is copied whole, and that the URL is its broker's"
    )]
    Unknown,
    /// The channel was deleted, and its messages with it.
    #[error("the lease's channel was deleted, and its messages with it")]
    ChannelDeleted,
    /// The request failed. Whether the broker heard it is not known; saying it again does no harm.
    #[error("{}", failed(.0))]
    Failed(Option<RequestError>),
}

fn failed(error: &Option<RequestError>) -> String {
    match error {
        Some(error) => error.to_string(),
        None => "the deadline passed before the broker answered".into(),
    }
}

impl SettleError {
    /// Whether the lease is over for certain, so that nothing done with it can succeed.
    pub fn is_lost(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

impl From<RequestError> for SettleError {
    fn from(error: RequestError) -> Self {
        match error.problem_type() {
            Some(ProblemType::LeaseExpired) => Self::Expired,
            Some(ProblemType::LeaseSuperseded) => Self::Superseded,
            Some(ProblemType::LeaseReleased) => Self::Released,
            Some(ProblemType::MessageSettled) => Self::Settled,
            Some(ProblemType::LeaseUnknown) => Self::Unknown,
            Some(ProblemType::ChannelDeleted) => Self::ChannelDeleted,
            _ => Self::Failed(Some(error)),
        }
    }
}

impl From<RetryFailure> for SettleError {
    fn from(failure: RetryFailure) -> Self {
        match failure {
            RetryFailure::Final(error) => error.into(),
            RetryFailure::Deadline { last } => Self::Failed(last),
        }
    }
}

impl Client {
    /// The message is done: takes it out of the channel. Tries for as long as `within`. Safe to repeat.
    pub async fn settle(&self, lease: &str, within: Duration) -> Result<(), SettleError> {
        self.lease_call(Method::DELETE, checked(lease)?, StatusCode::NO_CONTENT, within).await.map(drop)
    }

    /// Gives the message back, so that another receiver gets it. Tries for as long as `within`. Safe to repeat.
    pub async fn release(
        &self,
        lease: &str,
        options: ReleaseOptions,
        within: Duration,
    ) -> Result<(), SettleError> {
        let mut target = format!("{}/release", checked(lease)?);
        let ReleaseOptions { delay_seconds, uncounted } = options;
        let delay = delay_seconds.map(|seconds| format!("delay={seconds}"));
        let query = [delay, uncounted.then(|| "uncounted=true".into())];
        for (number, parameter) in query.into_iter().flatten().enumerate() {
            target.push(if number == 0 { '?' } else { '&' });
            target.push_str(&parameter);
        }
        self.lease_call(Method::POST, target, StatusCode::NO_CONTENT, within).await.map(drop)
    }

    /// Gives the message up: to the dead letters, with this reason for whoever looks at them, at most 255 characters.
    /// Tries for as long as `within`. Safe to repeat.
    pub async fn reject(
        &self,
        lease: &str,
        reason: Option<&str>,
        within: Duration,
    ) -> Result<(), SettleError> {
        let mut target = format!("{}/reject", checked(lease)?);
        if let Some(reason) = reason {
            target.push_str(&format!("?reason={}", utf8_percent_encode(reason, NON_ALPHANUMERIC)));
        }
        self.lease_call(Method::POST, target, StatusCode::NO_CONTENT, within).await.map(drop)
    }

    /// Does what the verdict says.
    pub(crate) async fn apply_verdict(
        &self,
        lease: &str,
        verdict: &Verdict,
        within: Duration,
    ) -> Result<(), SettleError> {
        match verdict {
            Verdict::Settle => self.settle(lease, within).await,
            Verdict::Release(options) => self.release(lease, *options, within).await,
            Verdict::Reject { reason } => self.reject(lease, reason.as_deref(), within).await,
        }
    }

    /// Keeps the message for this many seconds from now; without a number, for as long as the channel's default. The
    /// answer is for how long it is kept. Tries for as long as `within`.
    pub async fn renew(
        &self,
        lease: &str,
        seconds: Option<u32>,
        within: Duration,
    ) -> Result<Duration, SettleError> {
        let mut target = format!("{}/renew", checked(lease)?);
        if let Some(seconds) = seconds {
            target.push_str(&format!("?lease={seconds}"));
        }
        let answer = self.lease_call(Method::POST, target, StatusCode::OK, within).await?;
        Ok(granted(&answer)?)
    }

    async fn lease_call(
        &self,
        method: Method,
        target: String,
        hoped_for: StatusCode,
        within: Duration,
    ) -> Result<Answer, SettleError> {
        let once = || async {
            let answer = self.call(Call::new(method.clone(), path::lease(&target))).await?;
            if answer.status == hoped_for { Ok(answer) } else { Err(answer.refused()) }
        };
        let deadline = Some(Instant::now() + within);
        Ok(until_answered(self.retry(), deadline, |_, _| {}, once).await?)
    }
}

/// The token, if it can be one: base64url. Anything else could change the path that it is put into. A lease may also be given as
/// the path in `Location` or its absolute URL.
fn checked(lease: &str) -> Result<String, SettleError> {
    let lease = path::lease_token(lease);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if lease.is_empty() || !lease.bytes().all(fits) {
        return Err(SettleError::Unknown);
    }
    Ok(lease.to_owned())
}

/// For how long the broker granted a lease, by the answer's `Lease-Duration`.
pub(crate) fn granted(answer: &Answer) -> Result<Duration, RequestError> {
    answer.required(header::LEASE_DURATION).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_token_never_becomes_a_path() {
        for bad in ["", "../messages/a/b", "a/b", "a?b", "a b", "ä"] {
            assert!(matches!(checked(bad), Err(SettleError::Unknown)), "{bad}");
        }
        for good in ["aZ09-_", "/v1/leases/aZ09-_", "https://example.com/prefix/v1/leases/aZ09-_"] {
            assert_eq!(checked(good).unwrap(), "aZ09-_");
        }
        assert!(checked("/v1/leases/a/renew").is_err());
    }
}
