//! What can go wrong with one request, told apart by what a caller can do about it.

use std::{error::Error, fmt, time::Duration};

use http::StatusCode;
use restante_wire::{Problem, ProblemType};

use crate::retry;

/// Why one request did not get the answer that it was made for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The broker, or something on the way to it, answered and refused.
    #[error("{url} refused the request: {refusal}")]
    Refused {
        /// What was asked for, without credentials.
        url: String,
        /// The answer.
        refusal: Box<Refusal>,
    },
    /// No connection came about, or it broke before the answer was complete.
    #[error("cannot reach {url}: {reason}; check the URL, the proxy, the firewall, and that the broker runs")]
    Unreachable {
        /// What was asked for, without credentials.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The connection stands and nothing came.
    #[error("{url} did not answer within {seconds} s", seconds = within.as_secs())]
    NoAnswer {
        /// What was asked for, without credentials.
        url: String,
        /// How long the answer was waited for.
        within: Duration,
    },
    /// The certificate was not accepted: trying again would meet the same one.
    #[error("{url} showed a certificate that is not trusted: {reason}; add its CA's certificate (--ca-cert)")]
    Untrusted {
        /// What was asked for, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that no broker gives: a portal's or proxy's page, a redirect, or a URL that is not a broker's.
    #[error(
        "{url} does not answer like a broker: {reason}; check the URL, and whether a proxy answers in its place"
    )]
    NotABroker {
        /// What was asked for, without credentials.
        url: String,
        /// What a broker's answer would have had.
        reason: String,
    },
}

/// A refusing answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: StatusCode,
    /// The broker's own words; none when something else answered.
    pub problem: Option<Problem>,
    /// How long to wait before the next try, by the answer's `Retry-After`.
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
            None => write!(formatter, "{}, in words that are not a broker's", self.status),
        }
    }
}

impl RequestError {
    /// Whether the same request may get another answer later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => retry::is_retryable(refusal.status, refusal.problem_type()),
            Self::Unreachable { .. } | Self::NoAnswer { .. } => true,
            Self::Untrusted { .. } | Self::NotABroker { .. } => false,
        }
    }

    /// A word for it that stays the same, for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => "no-answer",
            Self::Untrusted { .. } => "untrusted",
            Self::NotABroker { .. } => "not-a-broker",
        }
    }

    /// The refusing answer, if there was one.
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

    /// Tells what kind of failure the HTTP library met.
    pub(crate) fn from_transport(url: String, error: reqwest::Error) -> Self {
        let error = error.without_url();
        match certificate_error(&error) {
            Some(reason) => Self::Untrusted { url, reason },
            None => Self::Unreachable { url, reason: chain(&error) },
        }
    }
}

/// The certificate's fault, if that is what lies at the bottom of an error.
fn certificate_error(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // rustls hides in an `io::Error`, whose `source` skips the error that it wraps.
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

/// An error and what caused it, from the outermost to the innermost, each said once.
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
    fn a_proxy_that_wants_credentials_is_told_as_such() {
        assert!(refused(407).to_string().contains("user:password@proxy"));
        assert!(!refused(407).is_retryable());
    }
}
