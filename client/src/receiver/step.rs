//! Decides a receiver's next step from the answer of a pull alone.

use std::time::Duration;

use super::{delivery::Delivery, pull::PullOutcome};
use crate::error::RequestError;

/// A time-out response that arrives sooner than this is followed by a pause. A channel with a wait of zero, or a proxy
/// that answers every request with 204, must not make the receiver spin.
pub(crate) const EARLY_MAX: Duration = Duration::from_millis(100);
/// The longest of these pauses, before jitter: the longest time that a message waits for the pause to end.
pub(crate) const EARLY_PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Step {
    /// Return the messages to the caller.
    Deliver(Vec<Delivery>),
    /// Transmit the request again; after a pause if the time-out response came too early.
    PullAgain { early: bool },
    /// A temporary error: transmit the request again after a pause.
    Retry(RequestError),
    /// A permanent error: a retry would fail again.
    Fail(RequestError),
}

/// Decides the next step. `took` is the time from the request to its answer.
pub(crate) fn step(
    pulled: Result<PullOutcome, RequestError>,
    took: Duration,
    retry_all_errors: bool,
) -> Step {
    match pulled {
        Ok(PullOutcome::Messages(messages)) => Step::Deliver(messages),
        Ok(PullOutcome::TimedOut) => Step::PullAgain { early: took < EARLY_MAX },
        Err(error) if error.is_retryable() || retry_all_errors => Step::Retry(error),
        Err(error) => Step::Fail(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> RequestError {
        RequestError::Unreachable { url: "http://broker".into(), reason: "refused".into() }
    }

    fn foreign() -> RequestError {
        RequestError::NotABroker { url: "http://broker".into(), reason: "its status is 302".into() }
    }

    #[test]
    fn a_timeout_response_leads_to_another_pull() {
        let again = |took| step(Ok(PullOutcome::TimedOut), took, false);
        assert!(matches!(again(Duration::from_secs(10)), Step::PullAgain { early: false }));
        assert!(matches!(again(Duration::from_millis(1)), Step::PullAgain { early: true }));
    }

    #[test]
    fn a_temporary_error_is_retried_and_a_permanent_one_is_returned() {
        assert!(matches!(step(Err(unreachable()), EARLY_MAX, false), Step::Retry(_)));
        assert!(matches!(step(Err(foreign()), EARLY_MAX, false), Step::Fail(_)));
        assert!(matches!(step(Err(foreign()), EARLY_MAX, true), Step::Retry(_)));
    }
}
