//! Keeping leases while their messages are being worked on: renewed at a third of their duration, by the monotonic clock.
//! The messages of one answer are renewed together.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Shared, events::Event};
use crate::{lease::SettleError, retry::Backoff};

/// Into how many parts a lease is divided: renewed after the first, there is time for a second and a third try.
const PARTS: u32 = 3;

/// A lease to be lease.
#[derive(Debug)]
pub(crate) struct LeaseToRenew {
    pub(crate) id: Uuid,
    pub(crate) token: String,
    /// Cancelled here when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled by the message when it is settled, given back or dropped, and here when there is nothing more to renew.
    pub(crate) done: CancellationToken,
}

/// The leases of one answer.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) leases: Vec<LeaseToRenew>,
    /// For how long: the shortest of them.
    pub(crate) granted: Duration,
    /// When the answer came.
    pub(crate) since: Instant,
    /// The leases may have begun earlier than that: the first renewal is due at once.
    pub(crate) began_before: bool,
}

/// Renews the leases until each message is done or the broker says that its lease is over.
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
    // Each with the moment from which on the broker may give its message to another.
    let mut leases: Vec<(LeaseToRenew, Instant)> =
        leases.into_iter().map(|lease| (lease, since + granted)).collect();
    let mut next = if began_before { since } else { since + granted / PARTS };
    loop {
        leases.retain(|(lease, _)| !lease.done.is_cancelled());
        let running = leases.iter().filter(|(lease, _)| !lease.lost.is_cancelled());
        let ends = running.map(|(_, ends)| *ends).min();
        tokio::select! {
            () = sleep_until(next) => {}
            // Whatever comes of the tries that go on.
            () = sleep_until(ends.unwrap_or(next)), if ends.is_some() => {
                let over = |ends: &Instant| *ends <= Instant::now();
                leases.iter().filter(|(_, ends)| over(ends)).for_each(|(lease, _)| lease.lost.cancel());
                continue;
            }
        }
        // Counted from before the request, so that the leases never seem longer than the broker grants them.
        let asked = Instant::now();
        let left = ends.map(|ends| ends.saturating_duration_since(asked));
        let within = left.unwrap_or(granted).min(granted / PARTS);
        let seconds = u32::try_from(granted.as_secs()).ok();
        let tokens: Vec<&str> = leases.iter().map(|(lease, _)| lease.token.as_str()).collect();
        let answers = shared.client.renew_all(&tokens, seconds, within).await;
        let (mut shortest, mut failed) = (None::<Duration>, false);
        for ((lease, ends), answer) in leases.iter_mut().zip(answers) {
            match record(&shared, lease, answer) {
                RenewalOutcome::Renewed(again) => {
                    *ends = asked + again;
                    shortest = Some(shortest.map_or(again, |shortest| shortest.min(again)));
                }
                RenewalOutcome::Failed => failed = true,
                RenewalOutcome::Over => {}
            }
        }
        granted = shortest.unwrap_or(granted);
        if failed {
            // The others are renewed once more with those that failed, which does no harm.
            next = Instant::now() + backoff.next(None);
        } else {
            next = asked + granted / PARTS;
            backoff.reset();
        }
    }
}

/// What was answered for one lease.
enum RenewalOutcome {
    Renewed(Duration),
    /// Tried again.
    Failed,
    /// Nothing more to renew.
    Over,
}

/// Tells what was answered for one lease, and marks it as lost or done.
fn record(shared: &Shared, lease: &LeaseToRenew, answer: Result<Duration, SettleError>) -> RenewalOutcome {
    let id = lease.id;
    match answer {
        // Settled or given back meanwhile.
        _ if lease.done.is_cancelled() => return RenewalOutcome::Over,
        // No broker grants nothing; one that did would make this spin.
        Ok(again) if again.is_zero() => lease.lost.cancel(),
        Ok(granted) => {
            shared.events.emit(Event::Renewed { id, granted });
            return RenewalOutcome::Renewed(granted);
        }
        // The settle that is under way was faster than this.
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
