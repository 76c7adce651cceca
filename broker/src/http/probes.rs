//! Answers to probes.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};

/// The answer to a probe. The status code is for load balancers, the line of text for people.
pub fn probe(outcome: Result<(), &'static str>) -> Response {
    let (status, line) = match outcome {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    (status, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))], format!("{line}\n")).into_response()
}
