//! Settling, releasing, rejecting and renewing many leases with one request: `POST /v1/settlements`.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use restante_wire::{
    batch::{LeaseResult, Reject, Release, Renew, SETTLEMENTS_MAX, SettlementResults, Settlements},
    path,
};
use tokio::time::Instant;

use super::{ReleaseOptions, SettleError, Verdict};
use crate::{
    answer::Answer,
    client::{Call, Client},
    error::{Refusal, RequestError},
    rounds::until_all_answered,
};

impl Client {
    /// Settles, releases or rejects many messages by their leases, with one request per 1000. Returns one result per
    /// verdict, in the same order; a failed one does not affect the others. Retries until `within` has passed. Safe to
    /// repeat.
    pub async fn apply_verdicts(
        &self,
        verdicts: &[(String, Verdict)],
        within: Duration,
    ) -> Vec<Result<(), SettleError>> {
        if let [(lease, verdict)] = verdicts {
            return vec![self.apply_verdict(lease, verdict, within).await];
        }
        let deadline = Instant::now() + within;
        let mut results = Vec::with_capacity(verdicts.len());
        for some in verdicts.chunks(SETTLEMENTS_MAX) {
            let once = |left: Vec<usize>| async {
                let items: Vec<&(String, Verdict)> = left.into_iter().map(|item| &some[item]).collect();
                let (answer, round) = self.settlements(&request(&items)).await?;
                let round = in_order(&items, round).ok_or_else(|| answer.not_a_broker(WRONG_COUNT.into()))?;
                Ok(round.into_iter().map(|result| read(&answer, result).map(drop)).collect())
            };
            let chunk = until_all_answered(self.retry(), Some(deadline), some.len(), |_, _| {}, once).await;
            results.extend(chunk.into_iter().map(|result| result.map_err(SettleError::from)));
        }
        results
    }

    /// Renews many leases for this number of seconds from now, with one request per 1000. Makes one try each: the
    /// caller decides when to retry.
    pub(crate) async fn renew_all(
        &self,
        leases: &[&str],
        seconds: Option<u32>,
        within: Duration,
    ) -> Vec<Result<Duration, SettleError>> {
        if let [lease] = leases {
            return vec![self.renew(lease, seconds, within).await];
        }
        let mut results = Vec::with_capacity(leases.len());
        for some in leases.chunks(SETTLEMENTS_MAX) {
            let renew = some.iter().map(|lease| Renew { lease: (*lease).to_owned(), seconds }).collect();
            let body = Settlements { renew, ..Settlements::default() };
            let chunk = match tokio::time::timeout(within, self.settlements(&body)).await {
                Ok(Ok((answer, answered))) if answered.renew.len() == some.len() => {
                    answered.renew.into_iter().map(|result| granted(&answer, result)).collect()
                }
                Ok(Ok((answer, _))) => vec![Err(answer.not_a_broker(WRONG_COUNT.into()).into()); some.len()],
                Ok(Err(error)) => vec![Err(error.into()); some.len()],
                Err(_) => vec![Err(SettleError::Failed(None)); some.len()],
            };
            results.extend(chunk);
        }
        results
    }

    async fn settlements(&self, body: &Settlements) -> Result<(Answer, SettlementResults), RequestError> {
        let json = serde_json::to_vec(body).expect("settlements have only JSON's own types");
        let mut call = Call { body: json.into(), ..Call::new(Method::POST, path::SETTLEMENTS.into()) };
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refused());
        }
        let results = answer.json("the results of settlements")?;
        Ok((answer, results))
    }
}

const WRONG_COUNT: &str = "the number of results differs from the number of leases";

/// The request's body for these verdicts.
fn request(verdicts: &[&(String, Verdict)]) -> Settlements {
    let mut body = Settlements::default();
    for (lease, verdict) in verdicts {
        let lease = lease.clone();
        match verdict {
            Verdict::Settle => body.ack.push(lease),
            Verdict::Release(ReleaseOptions { delay_seconds, uncounted }) => {
                body.release.push(Release { lease, delay: *delay_seconds, uncounted: *uncounted });
            }
            Verdict::Reject { reason } => body.reject.push(Reject { lease, reason: reason.clone() }),
        }
    }
    body
}

/// Brings the results, which the answer groups by kind, into the order of the verdicts. `None` if a kind has too few.
fn in_order(verdicts: &[&(String, Verdict)], results: SettlementResults) -> Option<Vec<LeaseResult>> {
    let SettlementResults { ack, release, reject, .. } = results;
    let (mut ack, mut release, mut reject) = (ack.into_iter(), release.into_iter(), reject.into_iter());
    let results = verdicts.iter().map(|(_, verdict)| match verdict {
        Verdict::Settle => ack.next(),
        Verdict::Release(_) => release.next(),
        Verdict::Reject { .. } => reject.next(),
    });
    results.collect()
}

/// Reads the result of one lease like the answer to a single request.
fn read(answer: &Answer, result: LeaseResult) -> Result<LeaseResult, RequestError> {
    let status = StatusCode::from_u16(result.status)
        .map_err(|_| answer.not_a_broker(format!("a lease's status is {}", result.status)))?;
    if status.is_success() {
        return Ok(result);
    }
    let refusal = Box::new(Refusal { status, problem: result.problem, retry_after: None });
    Err(RequestError::Refused { url: answer.url.clone(), refusal })
}

fn granted(answer: &Answer, result: LeaseResult) -> Result<Duration, SettleError> {
    let seconds = read(answer, result)?.lease_seconds;
    let seconds = seconds.ok_or_else(|| answer.not_a_broker("a renewed lease has no leaseSeconds".into()))?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_returned_in_the_order_of_the_verdicts() {
        let release = Verdict::Release(ReleaseOptions { delay_seconds: Some(5), uncounted: false });
        let verdicts = [("a", release), ("b", Verdict::Settle), ("c", Verdict::Settle)]
            .map(|(lease, verdict)| (lease.to_owned(), verdict));
        let verdicts: Vec<_> = verdicts.iter().collect();
        let body = serde_json::to_string(&request(&verdicts)).unwrap();
        assert_eq!(body, r#"{"ack":["b","c"],"release":[{"lease":"a","delay":5}]}"#);
        let results: SettlementResults =
            serde_json::from_str(r#"{"ack":[{"status":204},{"status":410}],"release":[{"status":503}]}"#)
                .unwrap();
        let mut short = results.clone();
        short.ack.pop();
        assert_eq!(in_order(&verdicts, short), None);
        let statuses = in_order(&verdicts, results).unwrap().into_iter().map(|result| result.status);
        assert_eq!(statuses.collect::<Vec<_>>(), [503, 204, 410]);
    }
}
