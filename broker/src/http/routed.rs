//! Routers as services of a server.

use std::{any::Any, future::Future, net::IpAddr, panic::AssertUnwindSafe};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::Request;
use restante_wire::ProblemType;
use tower::Service as _;

use super::{HttpError, Serve};

/// A router alone, without state for connections.
impl Serve for Router {
    type Client = ();
    type Open = ();

    fn connected(&self, _: IpAddr) {}

    fn answer(&self, (): &(), request: Request<Body>) -> impl Future<Output = (Response, ())> + Send + use<> {
        routed(self.clone(), request).map(|answer| (answer, ()))
    }
}

/// The router's answer; a panic becomes an answer too. Not an `async` function, which would keep memory for the request
/// until the answer is ready.
pub fn routed(mut router: Router, request: Request<Body>) -> impl Future<Output = Response> + Send {
    AssertUnwindSafe(router.call(request)).catch_unwind().map(|answered| match answered {
        Ok(Ok(response)) => response,
        Err(panic) => panicked(&*panic),
    })
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let what = panic.downcast_ref::<&str>().copied();
    let what = what.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    tracing::error!(panic = what, "a request met a defect of the broker");
    let detail = "the request hit a bug of the broker, which has logged it; other requests are not affected; report it";
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
