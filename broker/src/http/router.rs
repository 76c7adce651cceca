//! The routes of the data port.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use restante_wire::{ProblemType, path};
use tower_http::catch_panic::CatchPanicLayer;

use super::{HttpError, Route, Routes, closing::close_when_draining, measure::Measure};
use crate::{
    adapter::{Adapter, Context, address_in, batches, lease, look, settle_many},
    openapi::{self as describe, CHANNEL, LEASE, NO_PARAMETERS},
};

/// What the data port serves.
///
/// Every GET has a HEAD of its own: the framework's would do what the GET does.
pub fn router(context: Arc<Context>) -> Router {
    with_layers(routes().router(), &context).with_state(context)
}

/// The routes, each beside what describes it.
pub fn routes() -> Routes {
    let messages = Route::new()
        .get(messages, describe::pull)
        .head(messages, describe::count)
        .post(messages, describe::push);
    let batches = Route::new()
        .get(batches, describe::pull_batch)
        .head(batches, describe::count_batch)
        .post(batches, describe::push_batch);
    let peek = Route::new().get(look::peek, describe::peek).head(look::peek, describe::count_peek);
    let channel =
        Route::new().get(look::channel, describe::channel).head(look::channel, describe::look_for_channel);
    let document =
        Route::new().get(describe::serve, describe::document).head(describe::serve, describe::document_head);
    Routes::default()
        .at_address(path::MESSAGES, messages)
        .at_address(path::RECEIVE, Route::new().post(receive, describe::receive))
        .at_address(path::BATCHES, batches)
        .at_address(path::PEEK, peek)
        .at(path::LEASES, &LEASE, "", Route::new().delete(lease::settle, describe::settle))
        .at(path::LEASES, &LEASE, "/renew", Route::new().post(lease::renew, describe::renew))
        .at(path::LEASES, &LEASE, "/release", Route::new().post(lease::release, describe::release))
        .at(path::LEASES, &LEASE, "/reject", Route::new().post(lease::reject, describe::reject))
        .at(path::SETTLEMENTS, &NO_PARAMETERS, "", Route::new().post(settle_many, describe::settle_many))
        .at(path::CHANNELS, &CHANNEL, "", channel)
        .at(path::OPENAPI, &NO_PARAMETERS, "", document)
}

/// Answers of our own for what the framework would answer itself, and the layers around every route.
fn with_layers(router: Router<Arc<Context>>, context: &Arc<Context>) -> Router<Arc<Context>> {
    router
        .fallback(route_unknown)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(context.clone(), around))
}

/// What every request is in: one layer, because each costs an allocation and some copies.
async fn around(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let (measure, version) = (Measure::start(&request), request.version());
    let mut response = match context.browsers.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    close_when_draining(&context.drain, version, &mut response);
    measure.end(&context.metrics, &response);
    response
}

async fn messages(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let address = address_in(&request, path::MESSAGES)?;
    Adapter::at(&context, &address)?.handle(address, request).await
}

async fn receive(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let address = address_in(&request, path::RECEIVE)?;
    Adapter::at(&context, &address)?.source(&address)?.handle(request).await
}

async fn route_unknown(request: Request) -> HttpError {
    let detail =
        format!("there is nothing at {}: see the HTTP contract for what is under /v1", request.uri().path());
    HttpError::new(ProblemType::RouteUnknown, detail)
}

async fn method_not_allowed(request: Request) -> HttpError {
    let detail = format!(
        "{} is not for {}: the header Allow says which methods are",
        request.method(),
        request.uri().path()
    );
    HttpError::new(ProblemType::MethodNotAllowed, detail)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
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
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_500_problem_json_and_the_next_request_is_served() {
        async fn defective() -> &'static str {
            panic!("a defect of the test's own")
        }
        let router = Router::new()
            .route("/defective", get(defective))
            .route("/sound", get(async || "sound"))
            .layer(CatchPanicLayer::custom(panicked));
        let ask = async |path: &str| {
            let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        let response = ask("/defective").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.problem_type(), Some(ProblemType::Internal));
        assert_eq!(ask("/sound").await.status(), StatusCode::OK);
    }
}
