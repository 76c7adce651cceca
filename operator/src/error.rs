//! Why a reconcile failed and is tried again.

use std::time::Duration;

/// Why a reconcile failed. All of these are tried again after a while; what is not worth trying again is a condition.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("cannot {action}: {source}")]
    Kube {
        /// What was tried.
        action: String,
        /// What came back.
        #[source]
        source: Box<kube::Error>,
    },
    /// The reconcile took too long; kube's client has no read time-out of its own.
    #[error("gave up after {0:?}: the API server or a broker does not answer")]
    TimedOut(Duration),
    /// No random numbers for a credential.
    #[error("cannot draw a credential: {0}")]
    Random(getrandom::Error),
}

impl Error {
    /// Wraps an error of the API server.
    pub fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kube { action, source: Box::new(source) }
    }

    /// Whether the API server found the object invalid, as opposed to the request.
    pub fn is_invalid(&self) -> bool {
        let Self::Kube { source, .. } = self else { return false };
        matches!(source.as_ref(), kube::Error::Api(status) if status.code == 422)
    }

    /// A stable word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 409 => "conflict",
                kube::Error::Api(status) if status.code == 403 => "forbidden",
                kube::Error::Api(_) => "api",
                _ => "connection",
            },
            Self::TimedOut(_) => "timeout",
            Self::Random(_) => "random",
        }
    }
}
