//! The probes of the admin port, served on the data port as well, for load balancers that cannot reach the admin port.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};

use crate::adapter::Context;

/// `GET` and `HEAD /livez`.
pub(super) async fn live(State(context): State<Arc<Context>>) -> Response {
    probe(context.health.alive())
}

/// `GET` and `HEAD /readyz`.
pub(super) async fn ready(State(context): State<Arc<Context>>) -> Response {
    probe(context.health.ready())
}

/// The answer to a probe. The status code is for load balancers, the line of text for people.
pub fn probe(outcome: Result<(), &'static str>) -> Response {
    let (status, line) = match outcome {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    (status, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))], format!("{line}\n")).into_response()
}
