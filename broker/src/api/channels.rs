//! The statistics of a channel.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use restante_wire::{ChannelStats, path};

use super::{Context, address_in, refusal};
use crate::http::{HttpError, body, effects::expect_effects, query::Query};

/// `GET /v1/channels/{namespace}/{name}`: the channel's counts as one JSON object, for example for an autoscaler.
pub(super) async fn channel(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<ChannelStats>, HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.body_timeout)?;
    Query::parse(parts.uri.query(), &[])?;
    expect_effects(&parts.headers, &[])?;
    // A channel's name is parsed like an address: nothing in the path is percent-decoded.
    let name = address_in(&parts.uri, path::CHANNELS)?;
    body::none(no_body).await?;
    let service = &context.service;
    let entry = match name.as_str().split_once('/') {
        Some((namespace, name)) => service.store.by_name(namespace, name),
        None => None,
    };
    let entry = entry.ok_or_else(|| refusal::unknown(service, &name, "no channel is named"))?;
    let now = service.clock.now();
    Ok(Json(service.counters.get(entry.id).stats(&entry.config, now)))
}
