//! Settling, releasing, rejecting and renewing many leases by one request, with one sync.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use http::StatusCode;
use restante_wire::{
    ProblemType,
    batch::{
        BATCH_BYTES_MAX, LeaseResult, Reject, Release, Renew, SETTLEMENTS_MAX, SettlementResults, Settlements,
    },
    header::IDEMPOTENCY_KEY,
    json, path,
};

use super::{Context, lease::check_reason, off_thread, refusal};
use crate::{
    channel::Claim,
    clock::Millis,
    core::{self, Core, SettleRefusal, Ticket},
    http::{Caller, HttpError, body::Announced, effects, header, query::Query},
    log::ChannelId,
};

/// `POST /v1/settlements`
pub async fn settle_many(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<SettlementResults>, HttpError> {
    let (parts, body) = request.into_parts();
    Query::parse(parts.uri.query(), &[])?;
    if !header::content_type(&parts.headers)?.is_some_and(|of| of.eq_ignore_ascii_case("application/json")) {
        let detail = "the Content-Type of the settlements is not supported; send application/json";
        return Err(HttpError::new(ProblemType::MediaTypeUnsupported, detail));
    }
    effects::expect_no_coding(&parts.headers, "settlements")?;
    // Settling is idempotent, so a key is accepted and ignored.
    effects::expect_effects(&parts.headers, &[IDEMPOTENCY_KEY])?;
    let caller = Caller::in_extensions(&parts.extensions);
    let body = Announced::new(body, &parts.headers);
    let body = body.read_batch(BATCH_BYTES_MAX, 1, &caller, context.body_timeout).await?;
    effects::expect_not_gzip(&body.bytes, "settlements")?;
    let read = off_thread::read(&body.bytes, |bytes| json::read(bytes)).await;
    let settlements: Settlements = read.map_err(|fault| {
        if fault.is_too_many {
            return too_many();
        }
        let detail = format!("the settlements are malformed: {fault}; nothing was done");
        HttpError::new(ProblemType::BodyMalformed, detail)
    })?;
    let Settlements { ack, release, reject, renew } = &settlements;
    let count = ack.len() + release.len() + reject.len() + renew.len();
    if count > SETTLEMENTS_MAX {
        return Err(too_many());
    }
    let requests = ack.iter().map(LeaseRequest::ack);
    let requests = requests
        .chain(release.iter().map(LeaseRequest::release))
        .chain(reject.iter().map(LeaseRequest::reject));
    let requests: Vec<_> =
        requests.chain(renew.iter().map(LeaseRequest::renew)).map(|request| request.of(&context)).collect();
    let good: Vec<_> = requests.iter().flatten().cloned().collect();
    let done =
        context.cores.each(good, |core, channel, (claim, operation)| operation.apply(core, channel, claim));
    let mut done = done.await.map_err(|_| refusal::draining())?.into_iter();
    let mut results = Vec::with_capacity(count);
    let mut tickets = Vec::with_capacity(count);
    for request in requests {
        results.push(match request {
            Ok((channel, _)) => match done.next() {
                Some(Ok((ticket, result))) => {
                    tickets.push((channel, ticket));
                    result
                }
                Some(Err(refusal)) => refused(&refusal::settle(refusal)),
                None => refused(&refusal::draining()),
            },
            Err(error) => refused(&error),
        });
    }
    for (channel, ticket) in tickets {
        context.cores.wait_until_committed(channel, ticket).await.map_err(|_| refusal::store_failed())?;
    }
    let mut results = results.into_iter();
    let mut part = |count: usize| results.by_ref().take(count).collect();
    Ok(Json(SettlementResults {
        ack: part(ack.len()),
        release: part(release.len()),
        reject: part(reject.len()),
        renew: part(renew.len()),
    }))
}

fn too_many() -> HttpError {
    let detail =
        format!("the settlements exceed the limit of {SETTLEMENTS_MAX} leases; send several requests");
    HttpError::new(ProblemType::BatchTooLarge, detail)
}

/// One lease of the request, with its operation.
struct LeaseRequest<'a> {
    lease: &'a str,
    operation: Result<Operation, HttpError>,
}

/// The operation on a lease.
#[derive(Debug, Clone)]
enum Operation {
    Settle,
    Release(core::Release),
    Reject(Option<String>),
    Renew(Option<u32>),
}

impl<'a> LeaseRequest<'a> {
    fn ack(lease: &'a String) -> Self {
        Self { lease, operation: Ok(Operation::Settle) }
    }

    fn release(release: &'a Release) -> Self {
        let delay = release.delay.map(|seconds| Millis::from(seconds) * 1000);
        let how = core::Release { counted: !release.uncounted, delay };
        Self { lease: &release.lease, operation: Ok(Operation::Release(how)) }
    }

    fn reject(reject: &'a Reject) -> Self {
        let checked = reject.reason.as_deref().map_or(Ok(()), check_reason);
        Self { lease: &reject.lease, operation: checked.map(|()| Operation::Reject(reject.reason.clone())) }
    }

    fn renew(renew: &'a Renew) -> Self {
        let operation = match renew.seconds {
            Some(0) => {
                let detail = "the seconds of a renewal are 0; give at least 1, or release the lease";
                Err(HttpError::new(ProblemType::ParameterMalformed, detail))
            }
            seconds => Ok(Operation::Renew(seconds)),
        };
        Self { lease: &renew.lease, operation }
    }

    /// The channel of the lease, and the operation for its worker.
    fn of(self, context: &Context) -> Result<(ChannelId, (Claim, Operation)), HttpError> {
        let operation = self.operation?;
        let (channel, claim) =
            context.sealer.open(path::lease_token(self.lease)).ok_or_else(refusal::lease_unknown)?;
        Ok((channel, (claim, operation)))
    }
}

impl Operation {
    fn apply(
        self,
        core: &mut Core,
        channel: ChannelId,
        claim: Claim,
    ) -> Result<(Ticket, LeaseResult), SettleRefusal> {
        let ticket = match self {
            Self::Settle => core.settle(channel, claim)?,
            Self::Release(how) => core.release(channel, claim, how)?,
            Self::Reject(reason) => core.reject(channel, claim, reason.as_deref())?,
            Self::Renew(seconds) => {
                let core::Renewed { granted, lease, ticket } = core.renew(channel, claim, seconds)?;
                let result = LeaseResult {
                    status: StatusCode::OK.as_u16(),
                    lease_seconds: Some(lease / 1000),
                    lease_expires_at: Some(core.clock().rfc3339(granted.ends_at)),
                    problem: None,
                };
                return Ok((ticket, result));
            }
        };
        let status = StatusCode::NO_CONTENT.as_u16();
        Ok((ticket, LeaseResult { status, lease_seconds: None, lease_expires_at: None, problem: None }))
    }
}

fn refused(error: &HttpError) -> LeaseResult {
    let problem = error.problem();
    LeaseResult {
        status: problem.status,
        lease_seconds: None,
        lease_expires_at: None,
        problem: Some(problem),
    }
}
