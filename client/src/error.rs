//! Errors of one request, grouped by what the caller can do about them.

use std::{error::Error, fmt, time::Duration};

use http::StatusCode;
use restante_wire::{Problem, ProblemType};

use crate::retryable::is_retryable;

/// Why one request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The broker, or a proxy or gateway in front of it, refused the request.
    #[error("{url} refused the request: {refusal}")]
    Refused {
        /// The request's URL, without credentials.
        url: String,
        /// The refusal.
        refusal: Box<Refusal>,
    },
    /// The connection failed, or broke before the answer was complete.
    #[error("cannot reach {url}: {reason}; check the URL, the proxy, the firewall, and that the broker runs")]
    Unreachable {
        /// The request's URL, without credentials.
        url: String,
        /// The network error.
        reason: String,
    },
    /// The connection is open, but the answer did not arrive in time.
    #[error("{url} did not answer within {seconds} s", seconds = within.as_secs())]
    NoAnswer {
        /// The request's URL, without credentials.
        url: String,
        /// How long the client waited.
        within: Duration,
    },
    /// The server's certificate is not trusted. A retry would get the same certificate.
    #[error("{url} has an untrusted certificate: {reason}; add the certificate of its CA (--ca-cert)")]
    Untrusted {
        /// The request's URL, without credentials.
        url: String,
        /// Why the certificate is not trusted.
        reason: String,
    },
    /// The answer is not a broker's: the page of a portal or proxy, a redirect, or another server at this URL.
    #[error(
        "the answer of {url} is not a broker's: {reason}; check the URL, and whether a proxy answers in its place"
    )]
    NotABroker {
        /// The request's URL, without credentials.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// An answer with a client or server error status (4xx or 5xx).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: StatusCode,
    /// The broker's problem details; `None` if the answer has none, for instance because a proxy answered.
    pub problem: Option<Problem>,
    /// How long to wait before a retry, from the answer's `Retry-After` header.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// The problem's type, if the broker answered and this version knows the type.
    pub fn problem_type(&self) -> Option<ProblemType> {
        self.problem.as_ref().and_then(Problem::problem_type)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => problem.fmt(formatter),
            None if self.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                write!(formatter, "{}; write the proxy as http://user:password@proxy", self.status)
            }
            None => {
                write!(formatter, "{} without problem details, so probably not from the broker", self.status)
            }
        }
    }
}

impl RequestError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => is_retryable(refusal.status, refusal.problem_type()),
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::Untrusted { .. } | Self::NotABroker { .. } => false,
        }
    }

    /// A stable name of the kind of error, for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => "no-answer",
            Self::Untrusted { .. } => "untrusted",
            Self::NotABroker { .. } => "not-a-broker",
        }
    }

    /// The refusal, if the request was refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// The broker's problem type, if it answered with one that this version knows.
    pub fn problem_type(&self) -> Option<ProblemType> {
        self.refusal().and_then(Refusal::problem_type)
    }

    /// Classifies an error of the HTTP library.
    pub(crate) fn from_transport(url: String, error: reqwest::Error) -> Self {
        let error = error.without_url();
        match certificate_error(&error) {
            Some(reason) => Self::Untrusted { url, reason },
            None => Self::Unreachable { url, reason: chain(&error) },
        }
    }
}

/// The certificate error in an error's chain of causes, if there is one.
fn certificate_error(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An error of rustls is wrapped in an `io::Error`, whose `source` skips the wrapped error itself.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        if let Some(rustls::Error::InvalidCertificate(reason)) = inner.and_then(|inner| inner.downcast_ref())
        {
            return Some(reason.to_string());
        }
        if let Some(inner) = inner.and_then(|inner| certificate_error(inner)) {
            return Some(inner);
        }
        next = error.source();
    }
    None
}

/// The text of an error and its causes, outermost first, without repetitions.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> RequestError {
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal { status, problem: None, retry_after: None };
        RequestError::Refused { url: "http://broker".into(), refusal: Box::new(refusal) }
    }

    #[test]
    fn an_untrusted_certificate_is_found_at_the_bottom_of_io_errors() {
        let fault = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let nested = std::io::Error::other(std::io::Error::other(fault));
        assert!(certificate_error(&nested).is_some());
        assert_eq!(certificate_error(&std::io::Error::other("no route")), None);
    }

    #[test]
    fn a_proxy_that_requires_credentials_gets_a_hint() {
        assert!(refused(407).to_string().contains("user:password@proxy"));
        assert!(!refused(407).is_retryable());
    }
}
