//! Batches: many messages by one request.

mod pull;
mod push;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::Method;
pub(crate) use pull::LINGER_MS_MAX;
use restante_wire::path;

use super::{Adapter, Context, address_in};
use crate::http::HttpError;

/// `GET`, `HEAD` and `POST /v1/batches/{address}`
pub(super) async fn batches(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, HttpError> {
    let address = address_in(request.uri(), path::BATCHES)?;
    let adapter = Adapter::at(&context, &address)?;
    if request.method() == Method::POST {
        adapter.destination(&address)?.push_batch(&address, request).await
    } else {
        adapter.source(&address)?.respond_with_batch(request).await
    }
}
