//! One answer, read whole, and what its headers say.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use restante_wire::{Problem, problem};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{
    error::{Refusal, RequestError},
    retry,
};

/// The largest answer that is read, in bytes: four times the largest message of this version, so that a newer broker may
/// take larger ones, and so that whatever answers in a broker's place cannot fill the memory.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

const _: () = assert!(ANSWER_BYTES_MAX as u64 >= restante_wire::channel::MESSAGE_BYTES_MAX);

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for, without credentials.
    pub(crate) url: String,
    /// When its head came, by the monotonic clock.
    pub(crate) at: Instant,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text; none when it is absent or is not ASCII.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that a broker's answer of this kind always has, as the type that it holds.
    pub(crate) fn required<T: std::str::FromStr>(&self, name: &str) -> Result<T, RequestError> {
        self.text(name)
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| self.not_a_broker(format!("its {} has no usable {name}", self.status)))
    }

    /// The body, as the JSON that a broker's answer of this kind always is.
    pub(crate) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, RequestError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| self.not_a_broker(format!("its body is not {what}: {error}")))
    }

    /// The error for an answer that no broker gives.
    pub(crate) fn not_a_broker(&self, reason: String) -> RequestError {
        RequestError::NotABroker { url: self.url.clone(), reason }
    }

    /// The error for an answer with another status than the one that was hoped for.
    pub(crate) fn refused(&self) -> RequestError {
        if !self.status.is_client_error() && !self.status.is_server_error() {
            let to = self.text(header::LOCATION.as_str()).map(|to| format!(" to {to}")).unwrap_or_default();
            return self.not_a_broker(format!("it says {}{to}", self.status));
        }
        let refusal = Refusal {
            status: self.status,
            problem: self.problem(),
            retry_after: retry::retry_after(&self.headers),
        };
        RequestError::Refused { url: self.url.clone(), refusal: Box::new(refusal) }
    }

    /// The body as a problem, if it is one.
    fn problem(&self) -> Option<Problem> {
        let media_type = self.text(header::CONTENT_TYPE.as_str())?.split(';').next()?.trim();
        if !media_type.eq_ignore_ascii_case(problem::CONTENT_TYPE) {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante_wire::ProblemType;

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        Answer {
            url: "http://broker/v1/messages/a/b".into(),
            at: Instant::now(),
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn a_problem_is_read_by_its_media_type() {
        let body =
            r#"{"type":"https://restante.dev/errors/channel-full","title":"t","status":429,"detail":"d"}"#;
        let error = answer(429, "application/problem+json; charset=utf-8", body).refused();
        assert_eq!(error.problem_type(), Some(ProblemType::ChannelFull));
        assert_eq!(answer(429, "application/json", body).refused().problem_type(), None);
        assert_eq!(answer(429, "application/problem+json", "{").refused().problem_type(), None);
    }

    #[test]
    fn a_page_with_a_good_status_is_not_a_brokers_answer() {
        for status in [200, 204, 302] {
            let error = answer(status, "text/html", "<h1>Log in</h1>").refused();
            assert!(matches!(error, RequestError::NotABroker { .. }), "{status}");
            assert!(!error.is_retryable());
        }
        assert!(answer(200, "text/html", "").required::<u32>("lease-duration").is_err());
    }
}
