//! Settling, releasing, rejecting and renewing by lease token. The process that received the message may pass the token
//! on to another.

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

/// The receiver's decision about a leased message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Processed: remove it from the channel.
    Settle,
    /// Return it to the channel, to be delivered again.
    Release(ReleaseOptions),
    /// Make it a dead letter.
    Reject {
        /// Reason that is stored with the dead letter; at most 255 characters.
        reason: Option<String>,
    },
}

/// How to release a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReleaseOptions {
    /// Delay before the next delivery, in seconds; the channel's back-off if `None`.
    pub delay_seconds: Option<u32>,
    /// Do not count this delivery, for instance because the worker shuts down. Such a message has no back-off.
    pub uncounted: bool,
}

/// Why settling, releasing, rejecting or renewing failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SettleError {
    /// The lease expired, and the message waits for its next receiver.
    #[error(
        "the lease expired, and the message will be delivered again; ask for a longer lease, or renew it in time"
    )]
    Expired,
    /// The lease expired, and another receiver has leased the message since.
    #[error(
        "the lease expired, and another receiver has the message; ask for a longer lease, or renew it in time"
    )]
    Superseded,
    /// The message was released with this lease before.
    #[error("the lease was already released, and the message will be delivered again")]
    Released,
    /// The message was settled and has left the channel.
    #[error("the message was already settled; there is nothing to release or renew")]
    Settled,
    /// The broker did not issue this token, or the token is damaged.
    #[error(
        "the lease is unknown to this broker; check that the token is complete, and that the URL is the issuing broker's"
    )]
    Unknown,
    /// The channel was deleted together with its messages.
    #[error("the channel of the lease was deleted together with its messages")]
    ChannelDeleted,
    /// The request failed. Whether the broker received it is unknown; it is safe to repeat.
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
    /// Whether the lease has definitely ended, so that no request with it can succeed.
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
    /// Settles the message: removes it from the channel. Retries until `within` has passed. Safe to repeat.
    pub async fn settle(&self, lease: &str, within: Duration) -> Result<(), SettleError> {
        self.lease_call(Method::DELETE, checked(lease)?, StatusCode::NO_CONTENT, within).await.map(drop)
    }

    /// Releases the message, so that another receiver gets it. Retries until `within` has passed. Safe to repeat.
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

    /// Rejects the message: makes it a dead letter. The reason is stored with it, at most 255 characters. Retries until
    /// `within` has passed. Safe to repeat.
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

    /// Settles, releases or rejects the message.
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

    /// Renews the lease for this number of seconds from now; the channel's default if `None`. Returns the granted
    /// duration. Retries until `within` has passed.
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
        expected: StatusCode,
        within: Duration,
    ) -> Result<Answer, SettleError> {
        let once = || async {
            let answer = self.call(Call::new(method.clone(), path::lease(&target))).await?;
            if answer.status == expected { Ok(answer) } else { Err(answer.refused()) }
        };
        let deadline = Some(Instant::now() + within);
        Ok(until_answered(self.retry(), deadline, |_, _| {}, once).await?)
    }
}

/// The token, validated as base64url: any other character could change the path that the token becomes part of. Accepts
/// also the path of `Location` and its absolute URL.
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
    fn an_invalid_lease_token_never_becomes_a_path() {
        for bad in ["", "../messages/a/b", "a/b", "a?b", "a b", "ä"] {
            assert!(matches!(checked(bad), Err(SettleError::Unknown)), "{bad}");
        }
        for good in ["aZ09-_", "/v1/leases/aZ09-_", "https://example.com/prefix/v1/leases/aZ09-_"] {
            assert_eq!(checked(good).unwrap(), "aZ09-_");
        }
        assert!(checked("/v1/leases/a/renew").is_err());
    }
}
