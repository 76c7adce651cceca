//! Error answers: `application/problem+json` (RFC 9457). This is the only place that maps problem types to status
//! codes.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use restante_wire::{Problem, ProblemType, control::ControlProblem, problem};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    kind: ProblemType,
    detail: String,
    retry_after_seconds: Option<u32>,
    channel: Option<Uuid>,
}

impl HttpError {
    /// An error answer whose detail says what is wrong, where, and what to do.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after_seconds: retry_after_seconds(kind), channel: None }
    }

    /// The same answer with another `Retry-After`.
    pub fn after_seconds(self, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// The same answer with a path before its detail: `messages[3]` before `delaySeconds is …`.
    pub fn within(self, path: &str) -> Self {
        Self { detail: format!("{path}.{}", self.detail), ..self }
    }

    /// The same answer with the UID of the channel that is the problem, for the operator.
    pub fn about_channel(self, uid: Uuid) -> Self {
        Self { channel: Some(uid), ..self }
    }

    pub fn kind(&self) -> ProblemType {
        self.kind
    }

    /// The body of the answer.
    pub fn problem(&self) -> Problem {
        Problem {
            type_uri: self.kind.uri(),
            title: self.kind.title().into(),
            status: status(self.kind).as_u16(),
            detail: self.detail.clone(),
        }
    }
}

/// The status code of each problem type. The match is exhaustive, so that a new type must choose one.
pub fn status(kind: ProblemType) -> StatusCode {
    use ProblemType as P;
    match kind {
        P::AddressMalformed
        | P::ParameterMalformed
        | P::ParameterUnknown
        | P::HeaderMalformed
        | P::BodyIncomplete
        | P::BodyUnexpected
        | P::BodyMalformed
        | P::ItemMalformed
        | P::ChannelInvalid => StatusCode::BAD_REQUEST,
        P::Unauthorized => StatusCode::UNAUTHORIZED,
        P::OriginForbidden | P::BrowserForbidden | P::HostForbidden => StatusCode::FORBIDDEN,
        P::AddressUnknown | P::LeaseUnknown | P::ChannelUnknown | P::RouteUnknown => StatusCode::NOT_FOUND,
        P::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        P::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        P::ChannelConflict
        | P::ChannelNotEmpty
        | P::ManagedByManifests
        | P::IdempotencyInProgress
        | P::IdempotencyUnreadable
        | P::AttemptRepeated
        | P::AttemptUnreadable
        | P::AttemptMismatch => StatusCode::CONFLICT,
        P::LeaseExpired
        | P::LeaseReleased
        | P::LeaseSuperseded
        | P::MessageSettled
        | P::ChannelClosing
        | P::ChannelDeleted => StatusCode::GONE,
        P::MessageTooLarge | P::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        P::MediaTypeUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        P::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        P::ChannelFull | P::RateLimited | P::TooManySenders | P::TooManyReceivers => {
            StatusCode::TOO_MANY_REQUESTS
        }
        P::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        P::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        P::TransferCodingUnsupported => StatusCode::NOT_IMPLEMENTED,
        P::NotProgrammed
        | P::Busy
        | P::Draining
        | P::TooManyIdempotencyKeys
        | P::StoreFull
        | P::StoreFailed => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The `Retry-After` of a problem type (RFC 9110 section 10.2.3); `None` if a retry does not help.
pub fn retry_after_seconds(kind: ProblemType) -> Option<u32> {
    use ProblemType as P;
    match kind {
        // The restarted broker, or a place among the limited ones, is there within moments.
        P::Draining | P::Busy | P::TooManyReceivers | P::NotProgrammed => Some(1),
        // The first push is stored within a sync, and a rate limit allows more pushes each second.
        P::IdempotencyInProgress | P::RateLimited => Some(1),
        // Receivers or an administrator must make room first.
        P::ChannelFull | P::TooManySenders | P::TooManyIdempotencyKeys | P::StoreFull => Some(5),
        // The broker restarts and recovers.
        P::StoreFailed => Some(10),
        _ => None,
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let problem = ControlProblem { problem: self.problem(), uid: self.channel };
        let body = serde_json::to_vec(&problem).expect("a problem has only strings, a UID and a number");
        let mut response = (status(self.kind), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let page = format!("<{}>; rel=\"help\"", self.kind.page());
        headers.insert(header::LINK, HeaderValue::try_from(page).expect("a type's name is visible ASCII"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_a_client_or_server_error() {
        for kind in ProblemType::ALL {
            let status = status(*kind);
            assert!(status.is_client_error() || status.is_server_error(), "{kind:?}");
        }
    }

    #[test]
    fn an_error_answer_is_problem_json_with_retry_after() {
        let response =
            HttpError::new(ProblemType::ChannelFull, "acme/orders holds 100 messages").into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::LINK], "</errors/channel-full>; rel=\"help\"");
    }
}
