//! The probes of the admin port, served on the data port as well, for load balancers that cannot reach the admin port.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::Context;
use crate::http::probes::probe;

/// `GET` and `HEAD /livez`.
pub(super) async fn live(State(context): State<Arc<Context>>) -> Response {
    probe(context.health.alive())
}

/// `GET` and `HEAD /readyz`.
pub(super) async fn ready(State(context): State<Arc<Context>>) -> Response {
    probe(context.health.ready())
}
