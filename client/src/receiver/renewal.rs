//! Keeping a lease while its message is being worked on: renewed at a third of its duration, by the monotonic clock.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Shared, events::Event};
use crate::{lease::SettleError, retry::Backoff};

/// Into how many parts a lease is divided: renewed after the first, there is time for a second and a third try.
const PARTS: u32 = 3;

/// A lease to be kept.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) id: Uuid,
    pub(crate) lease: String,
    pub(crate) granted: Duration,
    /// Since when the lease runs.
    pub(crate) since: Instant,
    /// Cancelled here when the lease is lost.
    pub(crate) lost: CancellationToken,
    /// Cancelled by the message when it is settled, given back or dropped.
    pub(crate) done: CancellationToken,
}

/// Renews the lease until the message is done or the broker says that the lease is over.
pub(crate) async fn keep(shared: Arc<Shared>, renewal: Renewal) {
    let done = renewal.done.clone();
    done.run_until_cancelled_owned(renew_again_and_again(shared, renewal)).await;
}

async fn renew_again_and_again(shared: Arc<Shared>, renewal: Renewal) {
    let Renewal { id, lease, mut granted, since, lost, .. } = renewal;
    let mut backoff = Backoff::new(shared.client.retry());
    let mut ends = since + granted;
    let mut next = since + granted / PARTS;
    loop {
        tokio::select! {
            () = sleep_until(next) => {}
            // Whatever comes of the tries that go on: from here on the broker may give the message to another.
            () = sleep_until(ends), if !lost.is_cancelled() => {
                lost.cancel();
                continue;
            }
        }
        // Counted from before the request, so that the lease never seems longer than the broker grants it.
        let asked = Instant::now();
        let left = ends.saturating_duration_since(asked);
        let within = if lost.is_cancelled() { granted / PARTS } else { left.min(granted / PARTS) };
        let seconds = u32::try_from(granted.as_secs()).ok();
        match shared.client.renew(&lease, seconds, within).await {
            Ok(again) if again.is_zero() => {
                // No broker grants nothing; one that did would make this loop spin.
                lost.cancel();
                return;
            }
            Ok(again) => {
                (granted, ends, next) = (again, asked + again, asked + again / PARTS);
                backoff.reset();
                shared.events.tell(Event::Renewed { id, granted });
            }
            // The settle that is under way was faster than this.
            Err(SettleError::Settled) => return,
            Err(error) => {
                let over = error.is_lost();
                shared.events.tell(Event::RenewFailed { id, error });
                if over {
                    lost.cancel();
                    return;
                }
                next = Instant::now() + backoff.next(None);
            }
        }
    }
}
