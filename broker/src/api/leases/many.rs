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

use super::one::check_reason;
use crate::{
    api::{Context, off_thread, refusal},
    clock::{Clock, Millis},
    http::{Caller, HttpError, body::Announced, effects, header, query::Query},
    service::{Lease, Service, Settled, Verdict},
    shard,
};

/// `POST /v1/settlements`
pub(in crate::api) async fn settle_many(
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
    let requests = requests.chain(renew.iter().map(LeaseRequest::renew));
    let service = &context.service;
    let requests: Vec<_> = requests.map(|request| request.of(service)).collect();
    let good = requests.iter().flatten().cloned().collect();
    let mut done = service.settle_all(good).await.map_err(refusal::settle)?.into_iter();
    let results = requests.into_iter().map(|request| {
        request?;
        let settled = done.next().unwrap_or(Err(shard::SettleRefusal::Gone)).map_err(refusal::settle)?;
        Ok(result(settled, &service.clock))
    });
    let results: Vec<LeaseResult> =
        results.map(|result: Result<_, HttpError>| result.unwrap_or_else(|error| refused(&error))).collect();
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

/// One lease of the request, with its verdict.
struct LeaseRequest<'a> {
    lease: &'a str,
    verdict: Result<Verdict, HttpError>,
}

impl<'a> LeaseRequest<'a> {
    fn ack(lease: &'a String) -> Self {
        Self { lease, verdict: Ok(Verdict::Settle) }
    }

    fn release(release: &'a Release) -> Self {
        let delay = release.delay.map(|seconds| Millis::from(seconds) * 1000);
        let how = shard::Release { counted: !release.uncounted, delay };
        Self { lease: &release.lease, verdict: Ok(Verdict::Release(how)) }
    }

    fn reject(reject: &'a Reject) -> Self {
        let checked = reject.reason.as_deref().map_or(Ok(()), check_reason);
        Self { lease: &reject.lease, verdict: checked.map(|()| Verdict::Reject(reject.reason.clone())) }
    }

    fn renew(renew: &'a Renew) -> Self {
        let verdict = match renew.seconds {
            Some(0) => {
                let detail = "the seconds of a renewal are 0; give at least 1, or release the lease";
                Err(HttpError::new(ProblemType::ParameterMalformed, detail))
            }
            seconds => Ok(Verdict::Renew(seconds)),
        };
        Self { lease: &renew.lease, verdict }
    }

    /// The lease of the token, and the verdict.
    fn of(self, service: &Service) -> Result<(Lease, Verdict), HttpError> {
        let verdict = self.verdict?;
        let lease = service.lease(path::lease_token(self.lease)).ok_or_else(refusal::lease_unknown)?;
        Ok((lease, verdict))
    }
}

fn result(settled: Settled, clock: &Clock) -> LeaseResult {
    match settled {
        Settled::Ended => LeaseResult {
            status: StatusCode::NO_CONTENT.as_u16(),
            lease_seconds: None,
            lease_expires_at: None,
            problem: None,
        },
        Settled::Renewed { lease, ends_at } => LeaseResult {
            status: StatusCode::OK.as_u16(),
            lease_seconds: Some(lease / 1000),
            lease_expires_at: Some(clock.rfc3339(ends_at)),
            problem: None,
        },
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
