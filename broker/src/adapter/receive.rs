//! Waiting for a message, within a receiver's patience.

use std::time::Duration;

use http::HeaderValue;
use restante_wire::{ProblemType, path};
use tokio::time::sleep;

use super::{
    PullAdapter,
    held::{self, Held},
    refusal,
};
use crate::{
    channel::{Arrival, Dismissed, WaiterId},
    core::{Asked, Delivered, Delivery, PullRefusal, SharedCore},
    http::HttpError,
};

/// A receiver's place among those who wait; given up when the receiver hangs up.
struct Place {
    core: SharedCore,
    channel: u32,
    id: WaiterId,
    arrival: Arrival<Delivery>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.with(|core| core.stop_waiting(self.channel, self.id));
        // A message that came at this very moment finds nobody: it takes its old place.
        if let Ok(Ok(delivery)) = self.arrival.try_recv() {
            self.core.with(|core| core.take_back(delivery.channel, delivery.granted.claim()));
        }
    }
}

impl PullAdapter {
    /// The next message, or all that an attempt got before; nothing when none comes within the wait.
    pub(super) async fn next(&self, asked: &Asked, wait_seconds: u32) -> Result<Option<Held>, HttpError> {
        if self.context.answers.is_full() {
            return Err(refusal::busy());
        }
        let core = &self.context.core;
        let pulled = core.with(|core| core.pull(&self.channel, asked));
        let (id, arrival) = match pulled.map_err(|refusal| self.refused(refusal))? {
            Delivered::Now(delivery) => return self.held(vec![delivery]).await,
            Delivered::Again(deliveries) => return self.held(deliveries).await,
            Delivered::Later(id, arrival) => (id, arrival),
        };
        let mut place = Place { core: core.clone(), channel: self.channel.number, id, arrival };
        if wait_seconds == 0 {
            return Ok(None);
        }
        tokio::select! {
            biased;
            arrived = &mut place.arrival => match arrived {
                Ok(Ok(delivery)) => self.held(vec![delivery]).await,
                Ok(Err(Dismissed::Gone)) => Err(self.refused(PullRefusal::Closed)),
                Ok(Err(Dismissed::Repeated)) => Err(repeated()),
                Err(_) if core.with(|core| core.has_failed()) => Err(refusal::store_failed()),
                Err(_) => Err(self.refused(PullRefusal::Closed)),
            },
            () = self.context.drain.cancelled() => Ok(None),
            () = sleep(Duration::from_secs(wait_seconds.into())) => Ok(None),
        }
    }

    async fn held(&self, deliveries: Vec<Delivery>) -> Result<Option<Held>, HttpError> {
        let held = Held::new(&self.context.core, deliveries).await;
        held.map(Some).map_err(|_| refusal::store_failed())
    }

    /// Settles the leases that a pull acknowledges, durably. Returns the header that names those that failed.
    pub(super) async fn acknowledge(&self, leases: &[String]) -> Result<Option<HeaderValue>, HttpError> {
        if leases.is_empty() {
            return Ok(None);
        }
        let (mut failed, mut tickets) = (Vec::new(), Vec::new());
        self.context.core.with(|core| {
            for lease in leases {
                let token = lease.strip_prefix(path::LEASES).unwrap_or(lease);
                let settled = match core.sealer().open(token) {
                    Some((channel, claim)) => core.settle(channel, claim).map_err(refusal::settle),
                    None => Err(refusal::lease_unknown()),
                };
                match settled {
                    Ok(ticket) => tickets.push(ticket),
                    Err(error) => failed.push(format!("{lease};reason={}", error.kind().name())),
                }
            }
        });
        held::wait_for_all(tickets).await.map_err(|_| refusal::store_failed())?;
        Ok((!failed.is_empty()).then(|| super::ascii(failed.join(", "))))
    }

    pub(super) fn refused(&self, refusal: PullRefusal) -> HttpError {
        refusal::pull(&self.channel.config.qualified_name(), refusal)
    }
}

fn repeated() -> HttpError {
    let detail =
        "the pull was repeated under its Receive-Attempt-Id while it waited, and the repeat has its place";
    HttpError::new(ProblemType::AttemptRepeated, detail)
}
