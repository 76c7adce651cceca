//! The first channel adapter: takes a message by POST, and pushes it into the channel of its destination, or into all
//! channels that share the destination.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use restante_wire::{Address, ProblemType, channel::Durability, header};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{Answering, Context, ascii, properties::Properties, refusal};
use crate::{
    address_store::ChannelEntry,
    core::{Content, Push, PushRefusal, Pushed, Router, SenderTurn, WaitRefusal, keys::KeyHash},
    http::{
        Caller, HttpError,
        body::{Announced, WholeBody},
        effects::expect_effects,
        header::{expect_kept_once, prefer_wait},
        query::Query,
    },
    log::ChannelId,
    message,
};

/// The destination side of an address.
pub struct PushAdapter {
    pub(super) context: Arc<Context>,
    /// One channel, or all channels that share the destination.
    pub(super) channels: Vec<Arc<ChannelEntry>>,
}

/// A parsed push whose body is not read yet.
struct PushRequest {
    properties: Properties,
    /// How long the sender waits for room, in seconds.
    wait: Option<u32>,
    /// The encoded kept headers.
    headers: Bytes,
    body: Announced,
    caller: Caller,
}

/// The place of a waiting sender. Released on drop, when the sender hangs up.
struct WaitingSender {
    cores: Router,
    turn: SenderTurn,
    key: Option<KeyHash>,
    wake: Arc<Notify>,
}

impl Drop for WaitingSender {
    fn drop(&mut self) {
        let (turn, key) = (self.turn, self.key);
        self.cores.tell(turn.channel, move |core| core.stop_sending(turn, key));
    }
}

impl PushAdapter {
    /// The adapter of a destination, or `None` if there are no channels.
    pub fn new(context: &Arc<Context>, channels: Vec<Arc<ChannelEntry>>) -> Option<Self> {
        (!channels.is_empty()).then(|| Self { context: context.clone(), channels })
    }

    /// Handles a push.
    pub fn handle(self, address: Address, request: Request) -> Result<Answering, HttpError> {
        let push = self.parse(request)?;
        Ok(Box::pin(async move { self.take(&address, push).await }))
    }

    async fn take(&self, address: &Address, push: PushRequest) -> Result<Response, HttpError> {
        let PushRequest { properties, wait, headers, body, caller } = push;
        let WholeBody { bytes: body, memory: _in_flight } =
            body.read(self.message_bytes_max(), &caller, self.context.body_timeout).await?;
        let content = Content { headers, body };
        let push = self.prepared(address, properties, content, &caller)?;
        let Pushed { id, replayed, ticket } = match wait {
            // On the heap, because it is rare and would enlarge the future of every request.
            Some(wait) if wait > 0 => {
                Box::pin(self.push_when_there_is_room(address, push, wait, &caller)).await?
            }
            _ => self.push(push, None).await.map_err(|refusal| self.refused(address, refusal))?,
        };
        let kept = self.context.cores.wait_until_committed(self.channels[0].id, ticket).await;
        kept.map_err(|_| refusal::store_failed())?;
        Ok(self.stored(id, replayed, wait))
    }

    /// Validates a message against its channels, and against the memory of answers, without which no receiver could get
    /// it.
    pub(super) fn prepared(
        &self,
        address: &Address,
        properties: Properties,
        content: Content,
        caller: &Caller,
    ) -> Result<Push, HttpError> {
        let (bytes, max) = (content.bytes() as u64, caller.answers().budget().max());
        if bytes > max {
            return Err(refusal::beyond_answers(bytes, max));
        }
        properties.push(address, &self.channels, content)
    }

    /// Parses the head of a push.
    fn parse(&self, request: Request) -> Result<PushRequest, HttpError> {
        let (parts, body) = request.into_parts();
        Query::parse(parts.uri.query(), &[])?;
        expect_effects(
            &parts.headers,
            &[header::IDEMPOTENCY_KEY, header::MESSAGE_GROUP, header::MESSAGE_DELAY, header::MESSAGE_TTL],
        )?;
        expect_kept_once(&parts.headers)?;
        Ok(PushRequest {
            properties: Properties::in_headers(&parts.headers)?,
            wait: prefer_wait(&parts.headers)?.map(|wait| wait.min(self.wait_seconds_max())),
            headers: message::encode_kept(&parts.headers, |name| self.keeps(name))
                .map_err(|error| HttpError::new(ProblemType::HeadersTooLarge, error.to_string()))?,
            body: Announced::new(body, &parts.headers),
            caller: Caller::in_extensions(&parts.extensions),
        })
    }

    /// The 201 for a stored message.
    fn stored(&self, id: Uuid, replayed: bool, wait: Option<u32>) -> Response {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(HeaderName::from_static(header::MESSAGE_ID), ascii(id.to_string()));
        let durability = HeaderName::from_static(header::MESSAGE_DURABILITY);
        headers.insert(durability, HeaderValue::from_static(self.durability().as_str()));
        if replayed {
            let replayed = HeaderName::from_static(header::IDEMPOTENCY_REPLAYED);
            headers.insert(replayed, HeaderValue::from_static("true"));
        }
        if let Some(wait) = wait {
            let applied = HeaderName::from_static(header::PREFERENCE_APPLIED);
            headers.insert(applied, ascii(format!("wait={wait}")));
        }
        (StatusCode::CREATED, headers).into_response()
    }

    pub(super) async fn push(&self, push: Push, turn: Option<SenderTurn>) -> Result<Pushed, PushRefusal> {
        self.context.cores.push(&self.channels, push, turn).await
    }

    /// Stores messages independently of each other.
    pub(super) async fn push_all(
        &self,
        pushes: Vec<Push>,
    ) -> Result<Vec<Result<Pushed, PushRefusal>>, PushRefusal> {
        self.context.cores.push_all(&self.channels, pushes).await
    }

    /// Stores a message; while a channel is full, waits for its turn.
    async fn push_when_there_is_room(
        &self,
        address: &Address,
        push: Push,
        wait_seconds: u32,
        caller: &Caller,
    ) -> Result<Pushed, HttpError> {
        let until = Instant::now() + Duration::from_secs(wait_seconds.into());
        let mut place: Option<WaitingSender> = None;
        loop {
            let refusal = match self.push(push.clone(), place.as_ref().map(|place| place.turn)).await {
                Ok(pushed) => return Ok(pushed),
                Err(refusal) => refusal,
            };
            let PushRefusal::Full(full) = &refusal else { return Err(self.refused(address, refusal)) };
            let channel_id = full.entry.id;
            if place.as_ref().is_none_or(|place| place.turn.channel != channel_id) {
                // This frees the idempotency key for a moment, but no other task runs in between.
                drop(place.take());
                place = self.wait_in(channel_id, &push, caller).await?;
            }
            let Some(WaitingSender { wake, .. }) = &place else { return Err(self.refused(address, refusal)) };
            tokio::select! {
                () = wake.notified() => {}
                () = self.context.drain.begun() => return Err(refusal::draining()),
                () = sleep_until(until) => return Err(self.refused(address, refusal)),
            }
        }
    }

    /// Takes a place among the senders that wait for room in a channel; `None` if the channel is gone.
    async fn wait_in(
        &self,
        channel_id: ChannelId,
        push: &Push,
        caller: &Caller,
    ) -> Result<Option<WaitingSender>, HttpError> {
        let (cores, key) = (self.context.cores.clone(), push.key.map(|key| key.hash));
        let place = self.context.cores.ask(channel_id, caller.bodies(), move |core, sender| {
            let place = core.wait_for_room(channel_id, key, sender)?;
            Ok::<_, WaitRefusal>(place.map(|(turn, wake)| WaitingSender { cores, turn, key, wake }))
        });
        place.await.map_err(|_| refusal::draining())?.map_err(refusal::too_many_senders)
    }

    /// Whether a header is kept. All channels of the destination share one record, so it has the headers that any of
    /// them keeps.
    pub(super) fn keeps(&self, name: &str) -> bool {
        self.channels.iter().any(|channel| channel.config.keeps_header(name))
    }

    /// The durability that a 201 reports: the weakest of all channels.
    pub(super) fn durability(&self) -> Durability {
        let memory = self.channels.iter().any(|channel| channel.config.durability == Durability::Memory);
        if memory { Durability::Memory } else { Durability::Fsync }
    }

    /// The smallest `limits.messageBytes` of all channels.
    pub(super) fn message_bytes_max(&self) -> u64 {
        self.channels.iter().map(|channel| channel.config.limits.message_bytes).min().unwrap_or(0)
    }

    fn wait_seconds_max(&self) -> u32 {
        self.channels.iter().map(|channel| channel.config.delivery.max_wait_seconds).min().unwrap_or(0)
    }

    /// The error answer for a refused push; counts it.
    pub(super) fn refused(&self, address: &Address, refusal: PushRefusal) -> HttpError {
        self.context.metrics.pushes_refused.inc();
        refusal::push(&self.context, address, refusal)
    }
}
