//! The routes of the data port.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use restante_wire::{ProblemType, path};

use super::{
    Context,
    batches::batches,
    channels,
    describe::{self, CHANNEL, LEASE, NO_PARAMETERS, PROBLEM},
    leases,
    messages::{messages, receive},
    peek, probes,
    routes::{Route, Routes},
};
use crate::http::{HttpError, body, effects::expect_effects, pages, query::Query};

/// Serves the routes, with problem answers where the framework would answer by itself.
pub(super) fn router(routes: Routes, context: Arc<Context>) -> Router {
    let router = routes.router().fallback(route_unknown);
    router.method_not_allowed_fallback(method_not_allowed).with_state(context)
}

/// The routes, each with the function that describes it.
///
/// Every GET has a HEAD of its own: the framework's HEAD would do the work of the GET.
pub(super) fn routes() -> Routes {
    let messages = Route::new()
        .get(messages, describe::pull)
        .head(messages, describe::count)
        .post(messages, describe::push);
    let batches = Route::new()
        .get(batches, describe::pull_batch)
        .head(batches, describe::count_batch)
        .post(batches, describe::push_batch);
    let peek = Route::new().get(peek::peek, describe::peek).head(peek::peek, describe::count_peek);
    let channel = Route::new()
        .get(channels::channel, describe::channel)
        .head(channels::channel, describe::channel_head);
    let document = Route::new().get(document, describe::document).head(document, describe::document_head);
    let live = Route::new().get(probes::live, describe::live).head(probes::live, describe::live_head);
    let ready = Route::new().get(probes::ready, describe::ready).head(probes::ready, describe::ready_head);
    let page = Route::new().get(pages::page, describe::page).head(pages::page, describe::page_head);
    Routes::default()
        .at_address(path::MESSAGES, messages)
        .at_address(path::RECEIVE, Route::new().post(receive, describe::receive))
        .at_address(path::BATCHES, batches)
        .at_address(path::PEEK, peek)
        .at(path::LEASES, &LEASE, "", Route::new().delete(leases::settle, describe::settle))
        .at(path::LEASES, &LEASE, "/renew", Route::new().post(leases::renew, describe::renew))
        .at(path::LEASES, &LEASE, "/release", Route::new().post(leases::release, describe::release))
        .at(path::LEASES, &LEASE, "/reject", Route::new().post(leases::reject, describe::reject))
        .at(
            path::SETTLEMENTS,
            &NO_PARAMETERS,
            "",
            Route::new().post(leases::settle_many, describe::settle_many),
        )
        .at(path::CHANNELS, &CHANNEL, "", channel)
        .at(path::OPENAPI, &NO_PARAMETERS, "", document)
        .at(path::LIVEZ, &NO_PARAMETERS, "", live)
        .at(path::READYZ, &NO_PARAMETERS, "", ready)
        .at(path::ERRORS, &PROBLEM, "", page)
}

/// Whether a path accepts any host name and origin. Load balancers use a Host of their own for health checks, and these
/// paths reveal and change nothing of a channel.
pub(super) fn is_for_all(requested: &str) -> bool {
    [path::LIVEZ, path::READYZ].contains(&requested) || requested.starts_with(path::ERRORS)
}

/// The OpenAPI document, serialized.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let document = describe::describe(routes().paths());
    serde_json::to_vec(&document).expect("a document has only JSON's own types").into()
});

/// `GET` and `HEAD /openapi.json`.
async fn document(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.body_timeout)?;
    Query::parse(parts.uri.query(), &[])?;
    expect_effects(&parts.headers, &[])?;
    body::none(no_body).await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // The broker may be upgraded before the next request.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, DOCUMENT.clone()).into_response())
}

async fn route_unknown(request: Request) -> HttpError {
    let detail =
        format!("the path {} is unknown; see /openapi.json for the paths of this port", request.uri().path());
    HttpError::new(ProblemType::RouteUnknown, detail)
}

async fn method_not_allowed(request: Request) -> HttpError {
    let detail = format!(
        "the method {} is not allowed on {}; use a method that the header Allow lists",
        request.method(),
        request.uri().path()
    );
    HttpError::new(ProblemType::MethodNotAllowed, detail)
}
