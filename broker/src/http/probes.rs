//! Health checks of balancers: what the admin port says to Kubernetes, for whoever reaches the data port alone.

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

/// The answer to a probe: a line of text, because balancers look at the status code and people at the line.
pub fn probe(outcome: Result<(), &'static str>) -> Response {
    let (status, line) = match outcome {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    (status, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))], format!("{line}\n")).into_response()
}
