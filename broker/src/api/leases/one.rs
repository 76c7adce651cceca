//! Operations on a single lease: settle, release, reject and renew.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header as standard};
use restante_wire::{ProblemType, header, path};

use crate::{
    api::{Context, ascii, refusal},
    clock::Millis,
    http::{HttpError, body, effects::expect_effects, header::is_reason, query::Query},
    service::{Lease, Settled, Verdict},
    shard::Release,
};

/// `DELETE /v1/leases/{lease}`
pub(in crate::api) async fn settle(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, HttpError> {
    Query::parse(request.uri().query(), &[])?;
    let lease = lease(&context, request, "").await?;
    answer(&context, lease, &Verdict::Settle).await
}

/// `POST /v1/leases/{lease}/release`
pub(in crate::api) async fn release(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, HttpError> {
    let query = Query::parse(request.uri().query(), &["delay", "uncounted"])?;
    let delay = query.seconds("delay", 0)?.map(|seconds| Millis::from(seconds) * 1000);
    let release = Release { counted: !query.flag("uncounted")?, delay };
    drop(query);
    let lease = lease(&context, request, "/release").await?;
    answer(&context, lease, &Verdict::Release(release)).await
}

/// `POST /v1/leases/{lease}/reject`
pub(in crate::api) async fn reject(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, HttpError> {
    let query = Query::parse(request.uri().query(), &["reason"])?;
    let reason = query.text("reason")?;
    if let Some(reason) = &reason {
        check_reason(reason)?;
    }
    let lease = lease(&context, request, "/reject").await?;
    answer(&context, lease, &Verdict::Reject(reason)).await
}

/// `POST /v1/leases/{lease}/renew`
pub(in crate::api) async fn renew(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, HttpError> {
    let seconds = Query::parse(request.uri().query(), &["lease"])?.seconds("lease", 1)?;
    let lease = lease(&context, request, "/renew").await?;
    answer(&context, lease, &Verdict::Renew(seconds)).await
}

/// The answer to a verdict, when that is on disk.
async fn answer(context: &Context, lease: Lease, verdict: &Verdict) -> Result<Response, HttpError> {
    let service = &context.service;
    match service.settle(lease, verdict).await.map_err(refusal::settle)? {
        Settled::Ended => Ok(StatusCode::NO_CONTENT.into_response()),
        Settled::Renewed { lease, ends_at } => {
            let mut headers = HeaderMap::with_capacity(3);
            headers.insert(HeaderName::from_static(header::LEASE_DURATION), HeaderValue::from(lease / 1000));
            headers.insert(
                HeaderName::from_static(header::LEASE_EXPIRES_AT),
                ascii(service.clock.rfc3339(ends_at)),
            );
            headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok((StatusCode::OK, headers).into_response())
        }
    }
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

/// The lease of the token in the path. Checks the request's headers and body as well.
async fn lease(context: &Context, request: Request, suffix: &str) -> Result<Lease, HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.body_timeout)?;
    // Settling is idempotent, so a key is accepted and ignored.
    expect_effects(&parts.headers, &[header::IDEMPOTENCY_KEY])?;
    let path = parts.uri.path();
    let token =
        path.strip_prefix(path::LEASES).and_then(|rest| rest.strip_suffix(suffix)).unwrap_or_default();
    let lease = context.service.lease(token).ok_or_else(refusal::lease_unknown)?;
    body::none(no_body).await?;
    Ok(lease)
}
