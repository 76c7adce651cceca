//! The routes of the data port.

use std::{future::ready, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
};
use restante_wire::{ProblemType, path};

use super::{HttpError, Route, Routes, pages, probes};
use crate::{
    adapter::{Adapter, Answering, Context, address_in, batches, inspect, lease, settle_many},
    openapi::{self as describe, CHANNEL, LEASE, NO_PARAMETERS, PROBLEM},
};

/// Serves the routes, with problem answers where the framework would answer by itself.
pub(super) fn router(routes: Routes, context: Arc<Context>) -> Router {
    let router = routes.router().fallback(route_unknown);
    router.method_not_allowed_fallback(method_not_allowed).with_state(context)
}

/// The routes, each with the function that describes it.
///
/// Every GET has a HEAD of its own: the framework's HEAD would do the work of the GET.
pub fn routes() -> Routes {
    let messages = Route::new()
        .get(messages, describe::pull)
        .head(messages, describe::count)
        .post(messages, describe::push);
    let batches = Route::new()
        .get(batches, describe::pull_batch)
        .head(batches, describe::count_batch)
        .post(batches, describe::push_batch);
    let peek = Route::new().get(inspect::peek, describe::peek).head(inspect::peek, describe::count_peek);
    let channel =
        Route::new().get(inspect::channel, describe::channel).head(inspect::channel, describe::channel_head);
    let document =
        Route::new().get(describe::serve, describe::document).head(describe::serve, describe::document_head);
    let live = Route::new().get(probes::live, describe::live).head(probes::live, describe::live_head);
    let ready = Route::new().get(probes::ready, describe::ready).head(probes::ready, describe::ready_head);
    let page = Route::new().get(pages::page, describe::page).head(pages::page, describe::page_head);
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
        .at(path::LIVEZ, &NO_PARAMETERS, "", live)
        .at(path::READYZ, &NO_PARAMETERS, "", ready)
        .at(path::ERRORS, &PROBLEM, "", page)
}

/// Whether a path accepts any host name and origin. Load balancers use a Host of their own for health checks, and these
/// paths reveal and change nothing of a channel.
pub(super) fn is_for_all(requested: &str) -> bool {
    [path::LIVEZ, path::READYZ].contains(&requested) || requested.starts_with(path::ERRORS)
}

fn messages(State(context): State<Arc<Context>>, request: Request) -> Answering {
    let respond = || {
        let address = address_in(request.uri(), path::MESSAGES)?;
        Adapter::at(&context, &address)?.handle(address, request)
    };
    respond().unwrap_or_else(refused)
}

fn receive(State(context): State<Arc<Context>>, request: Request) -> Answering {
    let respond = || {
        let address = address_in(request.uri(), path::RECEIVE)?;
        Adapter::at(&context, &address)?.source(&address)?.handle(request)
    };
    respond().unwrap_or_else(refused)
}

/// The answer to an invalid request, which is ready at once.
fn refused(error: HttpError) -> Answering {
    Box::pin(ready(Err(error)))
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
