//! What a receiver does next, decided from the answer alone.

use std::time::Duration;

use super::{delivery::Delivery, pull::PullOutcome};
use crate::error::RequestError;

/// A time-out response that comes sooner than this is answered with a pause: a channel whose waits are zero, or something
/// on the way that says 204 to everything, must not make the receiver spin.
pub(crate) const EARLY_MAX: Duration = Duration::from_millis(100);
/// The longest of those pauses, before chance lengthens it: what a message that comes meanwhile waits for at the most.
pub(crate) const EARLY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The next step.
#[derive(Debug)]
pub(crate) enum Step {
    /// The output is what came.
    Deliver(Vec<Delivery>),
    /// The output is transmitting the request again; after a pause where the response came too early.
    PullAgain { early: bool },
    /// A passing fault: transmit the request again after a pause.
    Retry(RequestError),
    /// Asking again would get the same answer.
    Fail(RequestError),
}

/// Decides. `took` is the time from the request to the answer.
pub(crate) fn step(asked: Result<PullOutcome, RequestError>, took: Duration, retry_all_errors: bool) -> Step {
    match asked {
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
        RequestError::NotABroker { url: "http://broker".into(), reason: "it says 302".into() }
    }

    #[test]
    fn a_timeout_response_is_met_by_asking_again() {
        let again = |took| step(Ok(PullOutcome::TimedOut), took, false);
        assert!(matches!(again(Duration::from_secs(10)), Step::PullAgain { early: false }));
        assert!(matches!(again(Duration::from_millis(1)), Step::PullAgain { early: true }));
    }

    #[test]
    fn a_passing_fault_is_retried_and_a_lasting_one_is_told() {
        assert!(matches!(step(Err(unreachable()), EARLY_MAX, false), Step::Retry(_)));
        assert!(matches!(step(Err(foreign()), EARLY_MAX, false), Step::Fail(_)));
        assert!(matches!(step(Err(foreign()), EARLY_MAX, true), Step::Retry(_)));
    }
}
