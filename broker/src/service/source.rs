//! The source side of an address: leases the messages of its channel to receivers, and lets receivers wait for them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{Handouts, Lease, Service, Verdict};
use crate::{
    address_store::ChannelEntry,
    channel::{Arrival, Dismissed, WaiterId},
    log::ChannelId,
    metrics::Metrics,
    shard::{Delivery, Pull, PullOutcome, PullRefusal, SettleRefusal, ShardGone, StoreFailed, Ticket},
    worker::Router,
};

/// The channel of a source.
pub struct Source {
    service: Arc<Service>,
    channel: Arc<ChannelEntry>,
}

/// Why a receiver gets no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveRefusal {
    Pull(PullRefusal),
    /// A repeat with the same attempt id took the place of this pull while it waited.
    AttemptRepeated,
    /// The messages of the attempt can no longer be read; their leases go on.
    AttemptUnreadable,
}

impl From<PullRefusal> for ReceiveRefusal {
    fn from(refusal: PullRefusal) -> Self {
        Self::Pull(refusal)
    }
}

impl From<StoreFailed> for ReceiveRefusal {
    fn from(failed: StoreFailed) -> Self {
        Self::Pull(failed.into())
    }
}

impl From<ShardGone> for ReceiveRefusal {
    fn from(gone: ShardGone) -> Self {
        Self::Pull(gone.into())
    }
}

/// The place of a waiting receiver. Released on drop, when the receiver hangs up.
struct WaitingReceiver {
    router: Router,
    channel: ChannelId,
    id: WaiterId,
    arrival: Arrival<Box<Delivery>>,
}

impl Drop for WaitingReceiver {
    fn drop(&mut self) {
        // A message that arrived at this moment returns.
        self.arrival.close();
        let (channel, id) = (self.channel, self.id);
        self.router.tell(channel, move |shard| shard.stop_waiting(channel, id));
    }
}

/// The tickets of the settles that a pull brings along, by channel.
#[derive(Default)]
pub struct Settles(Vec<(ChannelId, Ticket)>);

/// Outcome of a pull. If the request has ended by the time this arrives from another worker, dropping it undoes the
/// pull.
enum Pulled {
    Leased(Handouts),
    Waits(WaitingReceiver),
}

impl Service {
    /// Settles leases. The settles are on disk when the receive that gets them returns: see [`Source::receive`].
    pub async fn begin_settles(
        &self,
        leases: Vec<Lease>,
    ) -> Result<(Settles, Vec<Result<(), SettleRefusal>>), ShardGone> {
        let settles = leases.into_iter().map(|lease| (lease.0, (lease, Verdict::Settle)));
        let (mut tickets, mut outcomes) = (Vec::new(), Vec::new());
        for settled in self.apply_all(settles.collect()).await? {
            outcomes.push(settled.map(|(channel, ticket, _)| tickets.push((channel, ticket))));
        }
        Ok((Settles(tickets), outcomes))
    }
}

impl Source {
    pub(super) fn new(service: &Arc<Service>, channel: Arc<ChannelEntry>) -> Self {
        Self { service: service.clone(), channel }
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub fn channel(&self) -> &Arc<ChannelEntry> {
        &self.channel
    }

    /// The number of ready messages.
    pub fn ready(&self) -> u64 {
        self.service.counters.get(self.channel.id).ready()
    }

    /// [`Self::next`], measured as one pull of a receiver.
    pub async fn receive(
        &self,
        pull: &Pull,
        wait_seconds: u32,
        settles: &Settles,
    ) -> Result<Option<Handouts>, ReceiveRefusal> {
        let started = Instant::now();
        let handouts = self.next(pull, wait_seconds, settles).await?;
        let Metrics { pull_wait_seconds, pull_timeouts, .. } = &*self.service.metrics;
        pull_wait_seconds.observe(started.elapsed().as_secs_f64());
        if handouts.is_none() {
            pull_timeouts.inc();
        }
        Ok(handouts)
    }

    /// The next message, or all messages that the attempt id got before; `None` if no message comes within the wait.
    /// Call [`Self::filled`] next. The settles are on disk before the wait begins, and so when this returns.
    pub async fn next(
        &self,
        pull: &Pull,
        wait_seconds: u32,
        settles: &Settles,
    ) -> Result<Option<Handouts>, ReceiveRefusal> {
        let pulled = self.pull(pull).await;
        // The settles and the next lease share one sync.
        self.wait_until_committed(settles).await?;
        match pulled? {
            Pulled::Leased(handouts) => Ok(Some(handouts)),
            Pulled::Waits(_) if wait_seconds == 0 => Ok(None),
            Pulled::Waits(mut place) => self.arrived(&mut place, wait_seconds).await,
        }
    }

    /// Loads the bodies of the messages. If none can be read, waits for other messages, up to another wait.
    pub async fn filled(
        &self,
        handouts: Handouts,
        pull: &Pull,
        wait_seconds: u32,
    ) -> Result<Option<Handouts>, ReceiveRefusal> {
        let mut handouts = handouts.filled().await?;
        while handouts.deliveries().is_empty() {
            if handouts.unreadable() > 0 {
                return Err(ReceiveRefusal::AttemptUnreadable);
            }
            // On the heap, because it is rare.
            let Some(next) = Box::pin(self.next(pull, wait_seconds, &Settles::default())).await? else {
                return Ok(None);
            };
            handouts = next.filled().await?;
        }
        Ok(Some(handouts))
    }

    /// Adds ready messages, up to `max` messages and about `bytes` in all.
    pub async fn lease_more(
        &self,
        handouts: &mut Handouts,
        pull: &Pull,
        max: usize,
        bytes: u64,
    ) -> Result<(), ReceiveRefusal> {
        let left = max.saturating_sub(handouts.deliveries().len() + handouts.unreadable());
        let bytes = bytes.saturating_sub(handouts.bytes());
        let (channel_id, router) = (self.channel.id, self.service.router.clone());
        let more = self.service.router.ask(channel_id, pull, move |shard, pull| {
            shard.pull_more(channel_id, pull, left, bytes).map(|more| Handouts::new(router, more))
        });
        handouts.extend(more.await??.filled().await?);
        Ok(())
    }

    /// A notification for each end of a lease in the channel.
    pub async fn lease_ends(&self) -> Result<Arc<Notify>, ReceiveRefusal> {
        let ends = self
            .service
            .router
            .ask(self.channel.id, &self.channel, |shard, channel| shard.lease_ends(channel));
        ends.await?.ok_or(ReceiveRefusal::Pull(PullRefusal::Closed))
    }

    /// Whether each of these leases of the channel continues. A worker that has ended holds none.
    pub async fn hold(&self, leases: &Vec<Lease>) -> Vec<bool> {
        let held = self.service.router.ask(self.channel.id, leases, |shard, leases| {
            leases.iter().map(|(channel, claim)| shard.holds(*channel, *claim)).collect()
        });
        held.await.unwrap_or_default()
    }

    async fn pull(&self, pull: &Pull) -> Result<Pulled, PullRefusal> {
        let router = &self.service.router;
        let (pull, back) = (pull.clone(), router.clone());
        let pulled = router.ask(self.channel.id, &self.channel, move |shard, channel| {
            Ok(match shard.pull(channel, &pull)? {
                PullOutcome::Delivered(delivery) => Pulled::Leased(Handouts::new(back, [delivery])),
                PullOutcome::Repeated(deliveries) => Pulled::Leased(Handouts::repeated(back, deliveries)),
                PullOutcome::Waiting(id, arrival) => {
                    Pulled::Waits(WaitingReceiver { router: back, channel: channel.id, id, arrival })
                }
            })
        });
        pulled.await.unwrap_or(Err(PullRefusal::Gone))
    }

    async fn arrived(
        &self,
        place: &mut WaitingReceiver,
        wait_seconds: u32,
    ) -> Result<Option<Handouts>, ReceiveRefusal> {
        let router = &self.service.router;
        tokio::select! {
            biased;
            arrived = &mut place.arrival => match arrived {
                Ok(Ok(delivery)) => Ok(Some(Handouts::new(router.clone(), [*delivery]))),
                Ok(Err(Dismissed::Gone)) => Err(PullRefusal::Closed.into()),
                Ok(Err(Dismissed::Repeated)) => Err(ReceiveRefusal::AttemptRepeated),
                Err(_) => {
                    let failed = router.ask(self.channel.id, &(), |shard, ()| shard.has_failed()).await;
                    Err(match failed {
                        Ok(false) => PullRefusal::Closed,
                        Ok(true) => PullRefusal::StoreFailed,
                        Err(_) => PullRefusal::Gone,
                    }.into())
                }
            },
            () = self.service.drain.begun() => Ok(None),
            () = sleep(Duration::from_secs(wait_seconds.into())) => Ok(None),
        }
    }

    /// Waits until the settles are on disk.
    async fn wait_until_committed(&self, Settles(tickets): &Settles) -> Result<(), StoreFailed> {
        for (channel, ticket) in tickets {
            self.service.router.wait_until_committed(*channel, ticket.clone()).await?;
        }
        Ok(())
    }
}
