//! Operations on a single lease: settle, release, reject and renew.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header as standard};
use restante_wire::{ProblemType, header, path};

use super::{Context, ascii, refusal};
use crate::{
    channel::Claim,
    clock::Millis,
    core::{Release, Renewed, SettleRefusal, Ticket},
    http::{HttpError, body, effects::expect_effects, header::is_reason, query::Query},
    log::ChannelId,
};

/// `DELETE /v1/leases/{lease}`
pub async fn settle(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    Query::parse(request.uri().query(), &[])?;
    let (channel, claim) = claim(&context, request, "").await?;
    let settled = context.cores.ask(channel, &claim, move |core, claim| core.settle(channel, *claim));
    wait_until_committed(&context, channel, settled.await?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/leases/{lease}/release`
pub async fn release(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let query = Query::parse(request.uri().query(), &["delay", "uncounted"])?;
    let delay = query.seconds("delay", 0)?.map(|seconds| Millis::from(seconds) * 1000);
    let release = Release { counted: !query.flag("uncounted")?, delay };
    drop(query);
    let (channel, claim) = claim(&context, request, "/release").await?;
    let released =
        context.cores.ask(channel, &claim, move |core, claim| core.release(channel, *claim, release));
    wait_until_committed(&context, channel, released.await?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/leases/{lease}/reject`
pub async fn reject(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let query = Query::parse(request.uri().query(), &["reason"])?;
    let reason = query.text("reason")?;
    if let Some(reason) = &reason {
        check_reason(reason)?;
    }
    let (channel, claim) = claim(&context, request, "/reject").await?;
    let rejected = context
        .cores
        .ask(channel, &reason, move |core, reason| core.reject(channel, claim, reason.as_deref()));
    wait_until_committed(&context, channel, rejected.await?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/leases/{lease}/renew`
pub async fn renew(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let seconds = Query::parse(request.uri().query(), &["lease"])?.seconds("lease", 1)?;
    let (channel, claim) = claim(&context, request, "/renew").await?;
    let renewed = context.cores.ask(channel, &claim, move |core, claim| core.renew(channel, *claim, seconds));
    let Renewed { granted, lease, ticket } = renewed.await?.map_err(refusal::settle)?;
    wait_until_committed(&context, channel, Ok(ticket)).await?;
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(HeaderName::from_static(header::LEASE_DURATION), HeaderValue::from(lease / 1000));
    headers.insert(
        HeaderName::from_static(header::LEASE_EXPIRES_AT),
        ascii(context.clock.rfc3339(granted.ends_at)),
    );
    headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::OK, headers).into_response())
}

/// Waits until the operation is on disk.
async fn wait_until_committed(
    context: &Context,
    channel: ChannelId,
    outcome: Result<Ticket, SettleRefusal>,
) -> Result<(), HttpError> {
    let ticket = outcome.map_err(refusal::settle)?;
    context.cores.wait_until_committed(channel, ticket).await.map_err(|_| refusal::store_failed())
}

/// Checks a rejection's reason: a header returns it, so it must be a valid header value.
pub(super) fn check_reason(reason: &str) -> Result<(), HttpError> {
    if is_reason(reason) {
        return Ok(());
    }
    let detail = format!(
        "the reason is invalid; give 1 to {} printable ASCII characters, because a header returns it",
        header::KEY_CHARACTERS_MAX
    );
    Err(HttpError::new(ProblemType::ParameterMalformed, detail))
}

/// The channel id and claim of the token in the path. Checks the request's headers and body as well.
async fn claim(context: &Context, request: Request, suffix: &str) -> Result<(ChannelId, Claim), HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.body_timeout)?;
    // Settling is idempotent, so a key is accepted and ignored.
    expect_effects(&parts.headers, &[header::IDEMPOTENCY_KEY])?;
    let path = parts.uri.path();
    let token =
        path.strip_prefix(path::LEASES).and_then(|rest| rest.strip_suffix(suffix)).unwrap_or_default();
    let claim = context.sealer.open(token).ok_or_else(refusal::lease_unknown)?;
    body::none(no_body).await?;
    Ok(claim)
}
