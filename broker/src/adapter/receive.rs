//! Waiting for a message, up to the receiver's wait.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use restante_wire::{ProblemType, path};
use tokio::time::{Instant, sleep};

use super::{
    Context, PullAdapter, answer, leased_messages::LeasedMessages, pull_request::PullRequest, refusal,
};
use crate::{
    channel::{Arrival, Dismissed, WaiterId},
    core::{Delivery, Pull, PullOutcome, PullRefusal, Router, Ticket},
    http::HttpError,
    log::ChannelId,
    metrics::Metrics,
};

/// The place of a waiting receiver. Released on drop, when the receiver hangs up.
struct WaitingReceiver {
    cores: Router,
    channel: ChannelId,
    id: WaiterId,
    arrival: Arrival<Box<Delivery>>,
}

impl Drop for WaitingReceiver {
    fn drop(&mut self) {
        let (channel, id) = (self.channel, self.id);
        // A message that arrived at this moment is released and takes its old place.
        self.arrival.close();
        let came = self.arrival.try_recv().ok().and_then(Result::ok);
        let came = came.map(|delivery| delivery.granted.claim());
        self.cores.tell(channel, move |core| {
            core.stop_waiting(channel, id);
            came.into_iter().for_each(|claim| core.return_unsent(channel, claim));
        });
    }
}

/// The tickets of settles that a pull acknowledged, by channel id.
#[derive(Default)]
pub(super) struct Settled(Vec<(ChannelId, Ticket)>);

/// Outcome of a pull. If the request has ended by the time this arrives from another worker, dropping it undoes the
/// pull.
enum Pulled {
    Leased(LeasedMessages),
    Waits(WaitingReceiver),
}

impl PullAdapter {
    /// Settles the acknowledged leases, and waits for the next message; call [`LeasedMessages::filled`] next. The
    /// headers are the common ones of every answer.
    pub(super) async fn waited(
        &self,
        request: &PullRequest,
    ) -> Result<(Option<LeasedMessages>, HeaderMap), HttpError> {
        let (settled, failed) = self.acknowledge(&request.acknowledge).await?;
        let started = Instant::now();
        let held = self.next(&request.pull, request.wait.seconds, &settled).await?;
        let Metrics { pull_wait_seconds, pull_timeouts, .. } = &*self.context.metrics;
        pull_wait_seconds.observe(started.elapsed().as_secs_f64());
        if held.is_none() {
            pull_timeouts.inc();
        }
        Ok((held, answer::common(request.wait, failed)))
    }

    /// The next message, or all messages that the attempt id got before; `None` if no message comes within the wait.
    /// Call [`LeasedMessages::filled`] next. The settles are on disk before the wait begins, and so when this returns.
    pub(super) async fn next(
        &self,
        pull: &Pull,
        wait_seconds: u32,
        settled: &Settled,
    ) -> Result<Option<LeasedMessages>, HttpError> {
        let pulled = self.pull(pull).await;
        // The settles and the next lease share one sync.
        self.wait_until_committed(settled).await?;
        match pulled? {
            Pulled::Leased(held) => Ok(Some(held)),
            Pulled::Waits(_) if wait_seconds == 0 => Ok(None),
            Pulled::Waits(mut place) => self.arrived(&mut place, wait_seconds).await,
        }
    }

    /// Loads the bodies of the messages. If none can be read, waits for other messages, up to another wait.
    pub(super) async fn filled(
        &self,
        held: LeasedMessages,
        pull: &Pull,
        wait_seconds: u32,
    ) -> Result<Option<LeasedMessages>, HttpError> {
        let mut held = held.filled().await.map_err(|_| refusal::store_failed())?;
        while held.deliveries().is_empty() {
            if held.unreadable() > 0 {
                return Err(unreadable());
            }
            // On the heap, because it is rare.
            let Some(next) = Box::pin(self.next(pull, wait_seconds, &Settled::default())).await? else {
                return Ok(None);
            };
            held = next.filled().await.map_err(|_| refusal::store_failed())?;
        }
        Ok(Some(held))
    }

    async fn pull(&self, pull: &Pull) -> Result<Pulled, HttpError> {
        let (cores, channel_id) = (&self.context.cores, self.channel.id);
        let (pull, back) = (pull.clone(), cores.clone());
        let pulled = cores.ask(channel_id, &self.channel, move |core, channel| {
            Ok(match core.pull(channel, &pull)? {
                PullOutcome::Delivered(delivery) => Pulled::Leased(LeasedMessages::new(back, [delivery])),
                PullOutcome::Repeated(deliveries) => {
                    Pulled::Leased(LeasedMessages::repeated(back, deliveries))
                }
                PullOutcome::Waiting(id, arrival) => {
                    Pulled::Waits(WaitingReceiver { cores: back, channel: channel.id, id, arrival })
                }
            })
        });
        pulled.await.unwrap_or(Err(PullRefusal::Gone)).map_err(|refusal| self.refused(refusal))
    }

    async fn arrived(
        &self,
        place: &mut WaitingReceiver,
        wait_seconds: u32,
    ) -> Result<Option<LeasedMessages>, HttpError> {
        let (cores, channel_id) = (&self.context.cores, self.channel.id);
        tokio::select! {
            biased;
            arrived = &mut place.arrival => match arrived {
                Ok(Ok(delivery)) => Ok(Some(LeasedMessages::new(cores.clone(), [*delivery]))),
                Ok(Err(Dismissed::Gone)) => Err(self.refused(PullRefusal::Closed)),
                Ok(Err(Dismissed::Repeated)) => Err(repeated()),
                Err(_) => {
                    let failed = cores.ask(channel_id, &(), |core, ()| core.has_failed()).await;
                    Err(self.refused(match failed {
                        Ok(false) => PullRefusal::Closed,
                        Ok(true) => PullRefusal::StoreFailed,
                        Err(_) => PullRefusal::Gone,
                    }))
                }
            },
            () = self.context.drain.begun() => Ok(None),
            () = sleep(Duration::from_secs(wait_seconds.into())) => Ok(None),
        }
    }

    /// Waits until the settles are on disk.
    async fn wait_until_committed(&self, Settled(tickets): &Settled) -> Result<(), HttpError> {
        for (channel, ticket) in tickets {
            let committed = self.context.cores.wait_until_committed(*channel, ticket.clone()).await;
            committed.map_err(|_| refusal::store_failed())?;
        }
        Ok(())
    }

    /// Settles the leases that a pull acknowledges; [`Self::next`] waits until they are on disk. Also returns the
    /// header that names the leases that failed.
    async fn acknowledge(&self, leases: &[String]) -> Result<(Settled, Option<HeaderValue>), HttpError> {
        if leases.is_empty() {
            return Ok(Default::default());
        }
        let Context { cores, sealer, .. } = &*self.context;
        let claims = leases.iter().map(|lease| sealer.open(path::lease_token(lease)));
        let claims: Vec<_> = claims.collect();
        let known: Vec<_> = claims.iter().flatten().copied().collect();
        let settled = cores
            .each(known, |core, channel, claim| core.settle(channel, claim).map(|ticket| (channel, ticket)));
        let mut settled = settled.await.map_err(|_| refusal::draining())?.into_iter();
        let (mut failed, mut tickets) = (Vec::new(), Vec::new());
        for (lease, claim) in leases.iter().zip(claims) {
            let outcome = match claim.and_then(|_| settled.next()) {
                Some(settled) => settled.map_err(refusal::settle),
                None => Err(refusal::lease_unknown()),
            };
            match outcome {
                Ok(ticket) => tickets.push(ticket),
                Err(error) => failed.push(format!("{lease};reason={}", error.kind().name())),
            }
        }
        let failed = (!failed.is_empty()).then(|| super::ascii(failed.join(", ")));
        Ok((Settled(tickets), failed))
    }

    pub(super) fn refused(&self, refusal: PullRefusal) -> HttpError {
        refusal::pull(&self.channel.config.qualified_name(), refusal)
    }
}

fn unreadable() -> HttpError {
    let detail = "the broker's disk can no longer read the messages of this Receive-Attempt-Id, but their leases \
                  continue; settle, release or reject them by the first answer's Location, or use another id";
    HttpError::new(ProblemType::AttemptUnreadable, detail)
}

fn repeated() -> HttpError {
    let detail = "a repeat with the same Receive-Attempt-Id took the place of this pull while it waited; read the \
                  repeat's answer";
    HttpError::new(ProblemType::AttemptRepeated, detail)
}
