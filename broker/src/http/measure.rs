//! Every request's duration, by route, method and status code.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};

use crate::metrics::Metrics;

/// What requests are counted under that match no route, so that nobody can make up series.
const NO_ROUTE: &str = "none";

/// A request from its head to the head of its answer: a pull's wait is part of it.
pub(super) struct Measure {
    started: Instant,
    route: Option<MatchedPath>,
    method: &'static str,
}

impl Measure {
    /// The head of a request is there.
    pub(super) fn start(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { started: Instant::now(), route, method: method_label(request.method()) }
    }

    /// The head of its answer is.
    pub(super) fn end(self, metrics: &Metrics, response: &Response) {
        let route = self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
        metrics
            .http_seconds
            .with_label_values(&[route, self.method, response.status().as_str()])
            .observe(self.started.elapsed().as_secs_f64());
    }
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
