//! Renewal of leases while their messages are being processed: each time a third of the duration has passed, by the
//! monotonic clock. The leases of one answer are renewed together.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Shared, events::Event};
use crate::{lease::SettleError, retry::Backoff};

/// A lease is renewed after one of this number of equal parts, which leaves time for a second and a third try.
const PARTS: u32 = 3;

/// A lease to renew.
#[derive(Debug)]
pub(crate) struct LeaseToRenew {
    pub(crate) id: Uuid,
    pub(crate) token: String,
    /// Cancelled by this module when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled by the message when it is settled, released or dropped, and by this module when there is nothing left
    /// to renew.
    pub(crate) done: CancellationToken,
}

/// The leases of one answer.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) leases: Vec<LeaseToRenew>,
    /// The shortest granted duration.
    pub(crate) granted: Duration,
    /// When the answer arrived.
    pub(crate) since: Instant,
    /// The leases may have begun earlier than `since`, so the first renewal is due at once.
    pub(crate) began_before: bool,
}

/// Renews the leases until each message is done or its lease is lost.
pub(crate) async fn keep(shared: Arc<Shared>, renewal: Renewal) {
    let done: Vec<_> = renewal.leases.iter().map(|lease| lease.done.clone()).collect();
    tokio::select! {
        _ = join_all(done.iter().map(CancellationToken::cancelled)) => {}
        () = renew_repeatedly(shared, renewal) => {}
    }
}

async fn renew_repeatedly(shared: Arc<Shared>, renewal: Renewal) {
    let Renewal { leases, mut granted, since, began_before } = renewal;
    let mut backoff = Backoff::new(shared.client.retry());
    // Each with the time at which it expires, by this machine's clock.
    let mut leases: Vec<(LeaseToRenew, Instant)> =
        leases.into_iter().map(|lease| (lease, since + granted)).collect();
    let mut next = if began_before { since } else { since + granted / PARTS };
    loop {
        leases.retain(|(lease, _)| !lease.done.is_cancelled());
        let running = leases.iter().filter(|(lease, _)| !lease.lost.is_cancelled());
        let ends = running.map(|(_, ends)| *ends).min();
        tokio::select! {
            () = sleep_until(next) => {}
            // A lease that expires is lost, even while a renewal is being retried.
            () = sleep_until(ends.unwrap_or(next)), if ends.is_some() => {
                let over = |ends: &Instant| *ends <= Instant::now();
                leases.iter().filter(|(_, ends)| over(ends)).for_each(|(lease, _)| lease.lost.cancel());
                continue;
            }
        }
        // Measured from before the request, so that no lease seems to last longer than the broker granted.
        let began = Instant::now();
        let left = ends.map(|ends| ends.saturating_duration_since(began));
        let within = left.unwrap_or(granted).min(granted / PARTS);
        let seconds = u32::try_from(granted.as_secs()).ok();
        let tokens: Vec<&str> = leases.iter().map(|(lease, _)| lease.token.as_str()).collect();
        let answers = shared.client.renew_all(&tokens, seconds, within).await;
        let (mut shortest, mut failed) = (None::<Duration>, false);
        for ((lease, ends), answer) in leases.iter_mut().zip(answers) {
            match record(&shared, lease, answer) {
                RenewalOutcome::Renewed(again) => {
                    *ends = began + again;
                    shortest = Some(shortest.map_or(again, |shortest| shortest.min(again)));
                }
                RenewalOutcome::Failed => failed = true,
                RenewalOutcome::Over => {}
            }
        }
        granted = shortest.unwrap_or(granted);
        if failed {
            // Leases that were renewed are renewed again together with the failed ones, which is safe.
            next = Instant::now() + backoff.next(None);
        } else {
            next = began + granted / PARTS;
            backoff.reset();
        }
    }
}

/// Outcome of one lease's renewal.
enum RenewalOutcome {
    Renewed(Duration),
    /// To be retried.
    Failed,
    /// Nothing left to renew.
    Over,
}

/// Emits the event of one lease's renewal, and marks the lease as lost or done.
fn record(shared: &Shared, lease: &LeaseToRenew, answer: Result<Duration, SettleError>) -> RenewalOutcome {
    let id = lease.id;
    match answer {
        // Settled, released or dropped in the meantime.
        _ if lease.done.is_cancelled() => return RenewalOutcome::Over,
        // A broker never grants a duration of zero, which would make this loop spin.
        Ok(again) if again.is_zero() => lease.lost.cancel(),
        Ok(granted) => {
            shared.events.emit(Event::Renewed { id, granted });
            return RenewalOutcome::Renewed(granted);
        }
        // A concurrent settle was faster than this renewal.
        Err(SettleError::Settled) => {}
        Err(error) => {
            let over = error.is_lost();
            shared.events.emit(Event::RenewFailed { id, error });
            if !over {
                return RenewalOutcome::Failed;
            }
            lease.lost.cancel();
        }
    }
    lease.done.cancel();
    RenewalOutcome::Over
}
