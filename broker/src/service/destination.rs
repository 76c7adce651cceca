//! The destination side of an address: stores messages in its channel, or in all channels that share the destination.

use std::{sync::Arc, time::Duration};

use restante_wire::{Address, channel::Durability};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{Draft, DraftRefusal, Service};
use crate::{
    address_store::ChannelEntry,
    log::ChannelId,
    message::Content,
    shard::{Push, PushRefusal, Pushed, SenderTurn, keys::KeyHash},
    shared::Share,
    worker::Router,
};

/// One channel, or all channels that share the destination.
pub struct Destination {
    service: Arc<Service>,
    channels: Vec<Arc<ChannelEntry>>,
}

/// A stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub id: Uuid,
    /// Whether this is the answer to an earlier push with the same key.
    pub replayed: bool,
}

/// The place of a waiting sender. Released on drop, when the sender hangs up.
struct WaitingSender {
    router: Router,
    turn: SenderTurn,
    key: Option<KeyHash>,
    wake: Arc<Notify>,
}

impl Drop for WaitingSender {
    fn drop(&mut self) {
        let (turn, key) = (self.turn, self.key);
        self.router.tell(turn.channel, move |shard| shard.stop_sending(turn, key));
    }
}

impl From<Pushed> for Stored {
    fn from(Pushed { id, replayed, ticket: _ }: Pushed) -> Self {
        Self { id, replayed }
    }
}

impl Destination {
    /// `None` if there are no channels.
    pub(super) fn new(service: &Arc<Service>, channels: Vec<Arc<ChannelEntry>>) -> Option<Self> {
        (!channels.is_empty()).then(|| Self { service: service.clone(), channels })
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub fn channels(&self) -> &[Arc<ChannelEntry>] {
        &self.channels
    }

    /// Whether a header is kept. All channels of the destination share one record, so it has the headers that any of
    /// them keeps.
    pub fn keeps(&self, name: &str) -> bool {
        self.channels.iter().any(|channel| channel.config.keeps_header(name))
    }

    /// The durability of a stored message: the weakest of all channels.
    pub fn durability(&self) -> Durability {
        let memory = self.channels.iter().any(|channel| channel.config.durability == Durability::Memory);
        if memory { Durability::Memory } else { Durability::Fsync }
    }

    /// The smallest `limits.messageBytes` of all channels.
    pub fn message_bytes_max(&self) -> u64 {
        self.channels.iter().map(|channel| channel.config.limits.message_bytes).min().unwrap_or(0)
    }

    /// The smallest `delivery.maxWaitSeconds` of all channels.
    pub fn wait_seconds_max(&self) -> u32 {
        self.channels.iter().map(|channel| channel.config.delivery.max_wait_seconds).min().unwrap_or(0)
    }

    /// Validates a message against its channels, and against the memory of answers, without which no receiver could get
    /// it.
    pub fn prepare(
        &self,
        address: &Address,
        draft: Draft,
        content: Content,
        answers: &Share,
    ) -> Result<Push, DraftRefusal> {
        let (bytes, max) = (content.bytes() as u64, answers.budget().max());
        if bytes > max {
            return Err(DraftRefusal::BeyondAnswers { bytes, max });
        }
        draft.push(address, &self.channels, content)
    }

    /// Stores a message in all of the channels or in none. While a channel is full, waits up to `wait_seconds` for
    /// room. The message is on disk when this returns, if its durability is `Fsync`.
    pub async fn push(
        &self,
        push: Push,
        wait_seconds: Option<u32>,
        sender: &Share,
    ) -> Result<Stored, PushRefusal> {
        let pushed = match wait_seconds {
            // On the heap, because it is rare and would enlarge the future of every request.
            Some(wait) if wait > 0 => Box::pin(self.push_when_there_is_room(push, wait, sender)).await?,
            _ => self.push_now(push, None).await.map_err(|refusal| self.counted(refusal))?,
        };
        let Pushed { id, replayed, ticket } = pushed;
        self.service.router.wait_until_committed(self.channels[0].id, ticket).await?;
        Ok(Stored { id, replayed })
    }

    /// Stores messages independently of each other, with one sync. They are on disk when this returns.
    pub async fn push_all(&self, pushes: Vec<Push>) -> Result<Vec<Result<Stored, PushRefusal>>, PushRefusal> {
        let Self { service, channels } = self;
        let done =
            service.router.push_all(channels, pushes).await.map_err(|refusal| self.counted(refusal))?;
        for pushed in done.iter().flatten() {
            // Nearly always all belong to one commit batch.
            service.router.wait_until_committed(channels[0].id, pushed.ticket.clone()).await?;
        }
        let done = done.into_iter();
        Ok(done.map(|done| done.map(Stored::from).map_err(|refusal| self.counted(refusal))).collect())
    }

    async fn push_now(&self, push: Push, turn: Option<SenderTurn>) -> Result<Pushed, PushRefusal> {
        self.service.router.push(&self.channels, push, turn).await
    }

    /// Stores a message; while a channel is full, waits for its turn.
    async fn push_when_there_is_room(
        &self,
        push: Push,
        wait_seconds: u32,
        sender: &Share,
    ) -> Result<Pushed, PushRefusal> {
        let until = Instant::now() + Duration::from_secs(wait_seconds.into());
        let mut place: Option<WaitingSender> = None;
        loop {
            let refusal = match self.push_now(push.clone(), place.as_ref().map(|place| place.turn)).await {
                Ok(pushed) => return Ok(pushed),
                Err(refusal) => refusal,
            };
            let PushRefusal::Full(full) = &refusal else { return Err(self.counted(refusal)) };
            let channel_id = full.entry.id;
            if place.as_ref().is_none_or(|place| place.turn.channel != channel_id) {
                // This frees the idempotency key for a moment, but no other task runs in between.
                drop(place.take());
                place = self.wait_in(channel_id, &push, sender).await?;
            }
            let Some(WaitingSender { wake, .. }) = &place else { return Err(self.counted(refusal)) };
            tokio::select! {
                () = wake.notified() => {}
                () = self.service.drain.begun() => return Err(PushRefusal::Gone),
                () = sleep_until(until) => return Err(self.counted(refusal)),
            }
        }
    }

    /// Takes a place among the senders that wait for room in a channel; `None` if the channel is gone.
    async fn wait_in(
        &self,
        channel_id: ChannelId,
        push: &Push,
        sender: &Share,
    ) -> Result<Option<WaitingSender>, PushRefusal> {
        let (router, key) = (self.service.router.clone(), push.key.map(|key| key.hash));
        let place = self.service.router.ask(channel_id, sender, move |shard, sender| {
            let place = shard.wait_for_room(channel_id, key, sender)?;
            Ok::<_, PushRefusal>(place.map(|(turn, wake)| WaitingSender { router, turn, key, wake }))
        });
        place.await?
    }

    /// Counts a refused push.
    fn counted(&self, refusal: PushRefusal) -> PushRefusal {
        self.service.metrics.pushes_refused.inc();
        refusal
    }
}
