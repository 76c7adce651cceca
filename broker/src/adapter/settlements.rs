//! Many leases settled by one request, in one sync.

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
    path,
};

use super::{Context, held::wait_for_all, lease::check_reason, refusal};
use crate::{
    channel::Claim,
    clock::{Millis, rfc3339},
    core::{self, Core, Ticket},
    http::{HttpError, body, header::content_type, query::Query},
};

/// `POST /v1/settlements`
pub async fn settle_many(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<SettlementResults>, HttpError> {
    let (parts, body) = request.into_parts();
    Query::parse(parts.uri.query(), &[])?;
    if content_type(&parts.headers) != Some("application/json") {
        let detail = "settlements are application/json: say so in Content-Type";
        return Err(HttpError::new(ProblemType::MediaTypeUnsupported, detail));
    }
    let body = body::read_batch(body, &parts.headers, BATCH_BYTES_MAX, &context.bodies).await?;
    let settlements: Settlements = serde_json::from_slice(&body.bytes).map_err(|error| {
        HttpError::new(
            ProblemType::BodyMalformed,
            format!("the body holds no settlements, and nothing was done: {error}"),
        )
    })?;
    let Settlements { ack, release, reject, renew } = &settlements;
    let count = ack.len() + release.len() + reject.len() + renew.len();
    if count > SETTLEMENTS_MAX {
        let detail = format!("{count} leases are more than {SETTLEMENTS_MAX}: send several requests");
        return Err(HttpError::new(ProblemType::BatchTooLarge, detail));
    }
    let mut tickets = Vec::with_capacity(count);
    let results = context.core.with(|core| {
        let mut work = Work { core, tickets: &mut tickets };
        SettlementResults {
            ack: ack.iter().map(|lease| work.ack(lease)).collect(),
            release: release.iter().map(|release| work.release(release)).collect(),
            reject: reject.iter().map(|reject| work.reject(reject)).collect(),
            renew: renew.iter().map(|renew| work.renew(renew)).collect(),
        }
    });
    wait_for_all(tickets).await.map_err(|_| refusal::store_failed())?;
    Ok(Json(results))
}

/// Settles one lease after the other.
struct Work<'a> {
    core: &'a mut Core,
    tickets: &'a mut Vec<Ticket>,
}

impl Work<'_> {
    fn ack(&mut self, lease: &str) -> LeaseResult {
        let done = self
            .claim(lease)
            .and_then(|(channel, claim)| self.core.settle(channel, claim).map_err(refusal::settle));
        self.result(done)
    }

    fn release(&mut self, release: &Release) -> LeaseResult {
        let delay = release.delay.map(|seconds| Millis::from(seconds) * 1000);
        let how = core::Release { counted: !release.uncounted, delay };
        let done = self
            .claim(&release.lease)
            .and_then(|(channel, claim)| self.core.release(channel, claim, how).map_err(refusal::settle));
        self.result(done)
    }

    fn reject(&mut self, reject: &Reject) -> LeaseResult {
        let reason = reject.reason.as_deref();
        let done = reason.map_or(Ok(()), check_reason).and_then(|()| {
            let (channel, claim) = self.claim(&reject.lease)?;
            self.core.reject(channel, claim, reason).map_err(refusal::settle)
        });
        self.result(done)
    }

    fn renew(&mut self, renew: &Renew) -> LeaseResult {
        let seconds = renew.seconds.map(|seconds| seconds.max(1));
        let done = self
            .claim(&renew.lease)
            .and_then(|(channel, claim)| self.core.renew(channel, claim, seconds).map_err(refusal::settle));
        match done {
            Ok(core::Renewed { granted, lease, ticket }) => {
                self.tickets.push(ticket);
                LeaseResult {
                    status: StatusCode::OK.as_u16(),
                    lease_seconds: Some(lease / 1000),
                    lease_expires_at: Some(rfc3339(granted.ends_at)),
                    problem: None,
                }
            }
            Err(error) => refused(&error),
        }
    }

    fn claim(&self, lease: &str) -> Result<(u32, Claim), HttpError> {
        let token = lease.strip_prefix(path::LEASES).unwrap_or(lease);
        self.core.sealer().open(token).ok_or_else(refusal::lease_unknown)
    }

    fn result(&mut self, done: Result<Ticket, HttpError>) -> LeaseResult {
        match done {
            Ok(ticket) => {
                self.tickets.push(ticket);
                let status = StatusCode::NO_CONTENT.as_u16();
                LeaseResult { status, lease_seconds: None, lease_expires_at: None, problem: None }
            }
            Err(error) => refused(&error),
        }
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
