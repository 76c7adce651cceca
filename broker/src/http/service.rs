//! What every request of the data port is in. Around the router, and not layers of it: each layer costs every request an
//! allocation, and some copies at every poll.

use std::{
    any::Any,
    convert::Infallible,
    future::{Future, ready},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::Request;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use restante_wire::ProblemType;
use tower::Service as _;

use super::{HttpError, closing::close_when_draining, framing, measure::Measures, router::routes};
use crate::adapter::Context;

/// What a server serves.
pub trait Serve:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Serve for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// What the data port serves.
pub fn service(context: Arc<Context>) -> impl Serve {
    let routes = routes();
    let measures = Measures::new(context.metrics.http_seconds.clone(), routes.names().to_vec());
    let router = super::router::router(routes, context.clone());
    let all = Arc::new((context, measures));
    service_fn(move |request: Request<Incoming>| {
        let all = all.clone();
        let (context, measures) = &*all;
        let (measure, version) = (measures.start(&request), request.version());
        let answer = match framing::check(&request).and_then(|()| context.browsers.check(&request)) {
            Ok(()) => routed(router.clone(), request.map(Body::new)).left_future(),
            Err(error) => ready(error.into_response()).right_future(),
        };
        answer.map(move |mut response| {
            let (context, measures) = &*all;
            close_when_draining(&context.drain, version, &mut response);
            measures.end(measure, &response);
            Ok(response)
        })
    })
}

/// What the router answers; a defect that panics is an answer too. No `async` function, which would have room for the request
/// for as long as its answer takes.
fn routed(mut router: Router, request: Request<Body>) -> impl Future<Output = Response> + Send {
    AssertUnwindSafe(router.call(request)).catch_unwind().map(|answered| match answered {
        Ok(Ok(response)) => response,
        Err(panic) => panicked(&*panic),
    })
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let what = panic.downcast_ref::<&str>().copied();
    let what = what.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    tracing::error!(panic = what, "a request met a defect of the broker");
    let detail = "the request met a defect of the broker, which has logged it; other requests go on";
    HttpError::new(ProblemType::Internal, detail).into_response()
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use restante_wire::Problem;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_500_problem_json_and_the_next_request_is_served() {
        async fn defective() -> &'static str {
            panic!("a defect of the test's own")
        }
        let router = Router::new().route("/defective", get(defective)).route("/sound", get(async || "sound"));
        let ask = async |path: &str| {
            routed(router.clone(), Request::builder().uri(path).body(Body::empty()).unwrap()).await
        };
        let response = ask("/defective").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.problem_type(), Some(ProblemType::Internal));
        assert_eq!(ask("/sound").await.status(), StatusCode::OK);
    }
}
