//! What a receiver does next, decided from the answer alone.

use std::time::Duration;

use super::{ask::Asked, taken::Taken};
use crate::error::RequestError;

/// A time-out response that comes sooner than this is answered with a pause: a channel whose waits are zero, or something
/// on the way that says 204 to everything, must not make the receiver spin.
pub(crate) const EARLY: Duration = Duration::from_millis(100);
/// The longest of those pauses, before chance lengthens it: what a message that comes meanwhile waits for at the most.
pub(crate) const EARLY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The next step.
#[derive(Debug)]
pub(crate) enum Step {
    /// The output is what came.
    Give(Vec<Taken>),
    /// The output is transmitting the request again; after a pause where the response came too early.
    AskAgain { early: bool },
    /// A passing fault: transmit the request again after a pause.
    Retry(RequestError),
    /// Asking again would get the same answer.
    Fail(RequestError),
}

/// Decides. `took` is the time from the request to the answer.
pub(crate) fn step(asked: Result<Asked, RequestError>, took: Duration, keep_asking: bool) -> Step {
    match asked {
        Ok(Asked::Messages(messages)) => Step::Give(messages),
        Ok(Asked::TimedOut) => Step::AskAgain { early: took < EARLY },
        Err(error) if error.is_retryable() || keep_asking => Step::Retry(error),
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
        RequestError::Foreign { url: "http://broker".into(), reason: "it says 302".into() }
    }

    #[test]
    fn a_timeout_response_is_met_by_asking_again() {
        let again = |took| step(Ok(Asked::TimedOut), took, false);
        assert!(matches!(again(Duration::from_secs(10)), Step::AskAgain { early: false }));
        assert!(matches!(again(Duration::from_millis(1)), Step::AskAgain { early: true }));
    }

    #[test]
    fn a_passing_fault_is_retried_and_a_lasting_one_is_told() {
        assert!(matches!(step(Err(unreachable()), EARLY, false), Step::Retry(_)));
        assert!(matches!(step(Err(foreign()), EARLY, false), Step::Fail(_)));
        assert!(matches!(step(Err(foreign()), EARLY, true), Step::Retry(_)));
    }
}
