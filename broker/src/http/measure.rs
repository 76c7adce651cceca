//! Every request's duration, by route, method and status code.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use crate::metrics::Metrics;

/// What requests are counted under that match no route, so that nobody can make up series.
const NO_ROUTE: &str = "none";

/// Measures a request from its head to the head of its answer: a pull's wait is part of it.
pub(super) async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_label(request.method());
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    metrics
        .http_seconds
        .with_label_values(&[route, method, response.status().as_str()])
        .observe(started.elapsed().as_secs_f64());
    response
}

/// A method's name, of those that some route takes.
fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
