//! Settling: what a receiver says of the lease that it holds.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header as standard};
use restante_wire::{ProblemType, header, path};

use super::{Context, pull::ascii, store_failed};
use crate::{
    channel::{Claim, Refusal},
    clock::rfc3339,
    core::{Renewed, SettleRefusal},
    http::{HttpError, body, query::Query},
};

/// `DELETE /v1/leases/{lease}`: the message is done with.
pub async fn settle(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    Query::parse(request.uri().query(), &[])?;
    let (channel, claim) = claim(&context, &request, "")?;
    let ticket = context.core.with(|core| core.settle(channel, claim)).map_err(refused)?;
    ticket.wait().await.map_err(|_| store_failed())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/leases/{lease}/release`: the message is given back.
pub async fn release(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    Query::parse(request.uri().query(), &[])?;
    let (channel, claim) = claim(&context, &request, "/release")?;
    let ticket = context.core.with(|core| core.release(channel, claim, true)).map_err(refused)?;
    ticket.wait().await.map_err(|_| store_failed())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/leases/{lease}/renew`: the message is needed for longer.
pub async fn renew(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let seconds = Query::parse(request.uri().query(), &["lease"])?.seconds("lease", 1)?;
    let (channel, claim) = claim(&context, &request, "/renew")?;
    let Renewed { granted, lease, ticket } =
        context.core.with(|core| core.renew(channel, claim, seconds)).map_err(refused)?;
    ticket.wait().await.map_err(|_| store_failed())?;
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(HeaderName::from_static(header::LEASE_DURATION), HeaderValue::from(lease / 1000));
    headers.insert(HeaderName::from_static(header::LEASE_EXPIRES_AT), ascii(rfc3339(granted.ends_at)));
    headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::OK, headers).into_response())
}

/// The channel number and claim of the token in the path.
fn claim(context: &Context, request: &Request, suffix: &str) -> Result<(u32, Claim), HttpError> {
    body::expect_none(request.body())?;
    let path = request.uri().path();
    let token =
        path.strip_prefix(path::LEASES).and_then(|rest| rest.strip_suffix(suffix)).unwrap_or_default();
    context.core.with(|core| core.sealer().open(token)).ok_or_else(|| {
        let detail = "this broker never issued such a lease: take the path in the Location of the answer that brought \
                      the message, as it is";
        HttpError::new(ProblemType::LeaseUnknown, detail)
    })
}

fn refused(refusal: SettleRefusal) -> HttpError {
    let refusal = match refusal {
        SettleRefusal::Lease(refusal) => refusal,
        SettleRefusal::StoreFailed => return store_failed(),
        SettleRefusal::ChannelDeleted => {
            let detail = "the channel was deleted, and the message with it";
            return HttpError::new(ProblemType::ChannelDeleted, detail);
        }
    };
    let kind = match refusal {
        Refusal::Expired => ProblemType::LeaseExpired,
        Refusal::Released => ProblemType::LeaseReleased,
        Refusal::Superseded => ProblemType::LeaseSuperseded,
        Refusal::Settled => ProblemType::MessageSettled,
    };
    HttpError::new(kind, refusal.to_string())
}
