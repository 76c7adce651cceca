//! One HTTP answer, read to its end, and the parsing of its headers and body.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use restante_wire::{Problem, problem};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::{
    error::{Refusal, RequestError},
    retry,
};

/// Largest answer that is read, in bytes. Four times the largest message of this version: a newer broker may accept
/// larger ones, and a server that answers in the broker's place cannot fill the memory.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

const _: () = assert!(ANSWER_BYTES_MAX as u64 >= restante_wire::channel::MESSAGE_BYTES_MAX);

#[derive(Debug)]
pub(crate) struct Answer {
    /// The request's URL, without credentials.
    pub(crate) url: String,
    /// When the head arrived, by the monotonic clock.
    pub(crate) at: Instant,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text; `None` if absent or not ASCII.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that every broker sends in this kind of answer, parsed.
    pub(crate) fn required<T: std::str::FromStr>(&self, name: &str) -> Result<T, RequestError> {
        self.text(name)
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| self.not_a_broker(format!("its {} has no usable {name}", self.status)))
    }

    /// The body, parsed from JSON. `what` names the expected value in the error.
    pub(crate) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, RequestError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| self.not_a_broker(format!("its body is not {what}: {error}")))
    }

    /// The error for an answer that did not come from a broker.
    pub(crate) fn not_a_broker(&self, reason: String) -> RequestError {
        RequestError::NotABroker { url: self.url.clone(), reason }
    }

    /// The error for an answer whose status is not the expected one.
    pub(crate) fn refused(&self) -> RequestError {
        if !self.status.is_client_error() && !self.status.is_server_error() {
            let to = self.text(header::LOCATION.as_str()).map(|to| format!(" to {to}")).unwrap_or_default();
            return self.not_a_broker(format!("its status is {}{to}", self.status));
        }
        let refusal = Refusal {
            status: self.status,
            problem: self.problem(),
            retry_after: retry::retry_after(&self.headers),
        };
        RequestError::Refused { url: self.url.clone(), refusal: Box::new(refusal) }
    }

    /// The body as problem details (RFC 9457), if it has that media type.
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
    fn problem_details_are_recognised_by_their_media_type() {
        let body =
            r#"{"type":"https://restante.dev/errors/channel-full","title":"t","status":429,"detail":"d"}"#;
        let error = answer(429, "application/problem+json; charset=utf-8", body).refused();
        assert_eq!(error.problem_type(), Some(ProblemType::ChannelFull));
        assert_eq!(answer(429, "application/json", body).refused().problem_type(), None);
        assert_eq!(answer(429, "application/problem+json", "{").refused().problem_type(), None);
    }

    #[test]
    fn an_html_page_with_a_success_status_is_not_a_brokers_answer() {
        for status in [200, 204, 302] {
            let error = answer(status, "text/html", "<h1>Log in</h1>").refused();
            assert!(matches!(error, RequestError::NotABroker { .. }), "{status}");
            assert!(!error.is_retryable());
        }
        assert!(answer(200, "text/html", "").required::<u32>("lease-duration").is_err());
    }
}
