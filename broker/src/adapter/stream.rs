//! Messages as Server-Sent Events: one after another on one connection, as fast as the receiver settles them.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use http::{HeaderName, HeaderValue, header as standard, request::Parts};
use restante_wire::batch::{Content, DeliveredItem};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{Answering, PullAdapter, held::Held, item, leased_body::Leased, receive::Settled};
use crate::{
    channel::Claim,
    clock::Millis,
    core::{Asked, bounded_lease},
    http::{
        HttpError,
        body::{self, NoBody},
        meaning::expect_effects,
        outbox,
        query::Query,
    },
};

/// How often a comment tells proxies and the receiver that the stream lives: well within the 60 s after which proxies give
/// up.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How long a stream lasts: a receiver that comes again is spread over the brokers that there are by then.
const LASTS: Duration = Duration::from_secs(3600);
/// How long one wait for a message is; what comes next is a look at whether the stream goes on.
const WAIT_SECONDS: u32 = 300;
/// The most unsettled messages of one stream.
pub(crate) const IN_FLIGHT_MAX: u32 = 100;

/// One receiver's stream.
struct Messages {
    source: PullAdapter,
    asked: Asked,
    /// How many messages may be unsettled.
    in_flight: usize,
    /// Those that were sent and may be.
    sent: Vec<(u32, Claim)>,
    lease_ended: Arc<Notify>,
    until: Instant,
}

/// Answers with a stream.
pub(super) fn events(source: PullAdapter, parts: &Parts, no_body: NoBody) -> Result<Answering, HttpError> {
    expect_effects(&parts.headers, &[])?;
    let query = Query::parse(parts.uri.query(), &["lease", "in_flight"])?;
    let in_flight = query.number("in_flight", 1, IN_FLIGHT_MAX)?.unwrap_or(1) as usize;
    let lease = bounded_lease(&source.channel.config.delivery, query.seconds("lease", 1)?);
    Ok(Box::pin(async move {
        body::none(no_body).await?;
        begun(source, in_flight, lease).await
    }))
}

async fn begun(source: PullAdapter, in_flight: usize, lease: Millis) -> Result<Response, HttpError> {
    let number = source.channel.number;
    let lease_ended =
        source.context.cores.ask(number, &source.channel, |core, channel| core.lease_ends(channel));
    let lease_ended = lease_ended.await?;
    let lease_ended = lease_ended.ok_or_else(|| source.refused(crate::core::PullRefusal::Closed))?;
    let messages = Messages {
        asked: Asked { lease, attempt: None },
        in_flight,
        sent: Vec::new(),
        lease_ended,
        until: Instant::now() + LASTS,
        source,
    };
    let mut response =
        Sse::new(messages.stream()).keep_alive(KeepAlive::new().interval(COMMENT_EVERY)).into_response();
    let headers = response.headers_mut();
    headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(standard::VARY, HeaderValue::from_static("Prefer"));
    // nginx holds answers back unless it is told not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    super::answer::with_content(headers);
    Ok(response)
}

impl Messages {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut messages| async move {
            let event = messages.next().await?;
            Some((Ok(event), messages))
        })
    }

    /// The next event; none when the stream ends: its time is over, the broker drains, or the channel is gone.
    async fn next(&mut self) -> Option<Event> {
        let drain = self.source.context.drain.clone();
        let until = self.until;
        let next = async {
            self.wait_for_a_settle().await;
            loop {
                // A refusal has no place in a stream that has begun: the receiver comes again and is told.
                if let Some(held) =
                    self.source.next(&self.asked, WAIT_SECONDS, &Settled::default()).await.ok()?
                {
                    return Some(held);
                }
            }
        };
        let held = first_of(next, async {
            tokio::select! {
                () = drain.begun() => {}
                () = sleep_until(until) => {}
            }
        });
        let held = held.await?.filled().await.ok()?;
        held.written().await.ok()?;
        self.event(held)
    }

    /// Waits until fewer messages are unsettled than may be.
    async fn wait_for_a_settle(&mut self) {
        loop {
            let ended = self.lease_ended.clone();
            let ended = ended.notified();
            let cores = &self.source.context.cores;
            let held = cores.ask(self.source.channel.number, &self.sent, |core, sent| {
                sent.iter().map(|(channel, claim)| core.holds(*channel, *claim)).collect::<Vec<_>>()
            });
            // A core that is gone holds nothing: the drain ends the stream.
            let mut held = held.await.unwrap_or_default().into_iter();
            self.sent.retain(|_| held.next().unwrap_or(false));
            if self.sent.len() < self.in_flight {
                return;
            }
            ended.await;
        }
    }

    fn event(&mut self, held: Held) -> Option<Event> {
        let delivery = held.deliveries().first()?;
        let now = self.source.context.clock.now();
        let head = item::delivered(delivery, Some(item::lease_seconds(delivery, now)));
        let event = Event::default().id(head.id.clone());
        let item = DeliveredItem { content: Content(delivery.content.content.body.to_vec()), head };
        let bytes = item.content.0.len();
        let event = event.json_data(item).expect("an item has only JSON's own types");
        let claims = held.into_claims();
        self.sent.extend_from_slice(&claims);
        outbox::hold(Leased::new(&self.source.context, claims, bytes));
        Some(event)
    }
}

/// What comes, unless the end comes first.
async fn first_of<T>(next: impl Future<Output = Option<T>>, end: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        () = end => None,
        next = next => next,
    }
}
