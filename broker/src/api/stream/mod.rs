//! Messages as Server-Sent Events: a stream on one connection, as fast as the receiver settles them.

mod comments;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, header as standard, request::Parts};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use self::comments::with_comments;
use super::{
    Answering, PullAdapter,
    messages::with_content,
    print::{Messages, Printer, Printing, Stopped, item},
};
use crate::{
    clock::Millis,
    http::{
        Caller, HttpError,
        body::{self, NoBody},
        effects::expect_effects,
        query::Query,
    },
    service::{Handouts, Lease, ReceiveRefusal, Settles, Source},
    shard::{Pull, PullRefusal, bounded_lease},
};

/// How often a comment shows proxies and the receiver that the stream is alive: well within the 60 s after which
/// proxies time out.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How long a stream lasts. A receiver that reconnects resolves the broker's name again, and finds it after a move.
const LASTS: Duration = Duration::from_secs(3600);
/// How long one wait for a message takes before the stream checks whether it should continue.
const WAIT_SECONDS: u32 = 300;
/// The maximum number of unsettled messages of one stream.
pub(crate) const IN_FLIGHT_MAX: u32 = 100;

/// How long a stream without memory for the next message waits before it tries again.
const MEMORY_AGAIN: Duration = Duration::from_secs(1);

/// One receiver's stream.
struct Events {
    source: Source,
    pull: Pull,
    /// The maximum number of unsettled messages.
    in_flight: usize,
    /// The sent messages that may still be unsettled.
    sent: Vec<Lease>,
    lease_ended: Arc<Notify>,
    until: Instant,
    /// Whether the data of an event was begun and its end is not printed yet.
    event_is_open: bool,
}

/// Handles a pull with `Accept: text/event-stream`.
pub(super) fn events(adapter: PullAdapter, parts: &Parts, no_body: NoBody) -> Result<Answering, HttpError> {
    expect_effects(&parts.headers, &[])?;
    let query = Query::parse(parts.uri.query(), &["lease", "in_flight"])?;
    let in_flight = query.number("in_flight", 1, IN_FLIGHT_MAX)?.unwrap_or(1) as usize;
    let lease = bounded_lease(&adapter.source.channel().config.delivery, query.seconds("lease", 1)?);
    let caller = Caller::in_extensions(&parts.extensions);
    Ok(Box::pin(async move {
        body::none(no_body).await?;
        begun(adapter, in_flight, lease, caller).await
    }))
}

async fn begun(
    adapter: PullAdapter,
    in_flight: usize,
    lease: Millis,
    caller: Caller,
) -> Result<Response, HttpError> {
    let lease_ended = adapter.source.lease_ends().await.map_err(|refusal| adapter.refused(refusal))?;
    let events = Events {
        pull: Pull { lease, attempt: None, answers: caller.answers().clone() },
        in_flight,
        sent: Vec::new(),
        lease_ended,
        until: Instant::now() + LASTS,
        event_is_open: false,
        source: adapter.source,
    };
    let printer = Printer::new(caller.answers());
    let mut response = Body::from_stream(with_comments(COMMENT_EVERY, events, printer)).into_response();
    let headers = response.headers_mut();
    headers.insert(standard::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(standard::VARY, HeaderValue::from_static("Prefer"));
    // nginx buffers answers by default; this header disables it.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    with_content(headers);
    Ok(response)
}

impl Events {
    /// The next message; `None` when the stream ends: after an hour, when the broker drains, or when the channel is
    /// gone.
    async fn next(&mut self) -> Option<Handouts> {
        let drain = self.source.service().drain.clone();
        let until = self.until;
        let next = async {
            self.wait_for_a_settle().await;
            loop {
                let freed = self.pull.answers.budget().freed();
                match self.source.next(&self.pull, WAIT_SECONDS, &Settles::default()).await {
                    Ok(Some(held)) => return Some(held),
                    Ok(None) => {}
                    // The memory is in use by earlier answers, which will be sent or aborted.
                    Err(ReceiveRefusal::Pull(PullRefusal::NoMemory)) => {
                        let _ = timeout(MEMORY_AGAIN, freed).await;
                    }
                    // A stream that has begun cannot report an error: it ends, and the receiver gets the error when it
                    // reconnects.
                    Err(_) => return None,
                }
            }
        };
        let held = first_of(next, async {
            tokio::select! {
                () = drain.begun() => {}
                () = sleep_until(until) => {}
            }
        });
        let held = held.await?;
        let held = self.source.filled(held, &self.pull, WAIT_SECONDS).await.ok()??;
        held.written().await.ok()?;
        Some(held)
    }

    /// Waits until fewer than `in_flight` messages are unsettled.
    async fn wait_for_a_settle(&mut self) {
        loop {
            let ended = self.lease_ended.clone();
            let ended = ended.notified();
            // A worker that has ended holds no leases; the drain ends the stream.
            let mut held = self.source.hold(&self.sent).await.into_iter();
            self.sent.retain(|_| held.next().unwrap_or(false));
            if self.sent.len() < self.in_flight {
                return;
            }
            ended.await;
        }
    }
}

impl Messages for Events {
    /// Prints one event. Returns `false` when the event is complete, so that it is sent at once, and again at the end
    /// of the stream.
    async fn start_next(&mut self, printer: &mut Printer) -> Result<bool, Stopped> {
        if std::mem::take(&mut self.event_is_open) {
            printer.put(b"\n\n");
            return Ok(false);
        }
        let Some((delivery, sending)) = self.next().await.and_then(|mut held| held.take_first()) else {
            return Ok(false);
        };
        let head = item::delivered(&delivery, &self.source.service().clock, true);
        self.sent.extend(sending.claims());
        printer.put(format!("id: {}\ndata: ", head.id).as_bytes());
        printer.start(Printing::json(&head, delivery.content.content.body), sending);
        self.event_is_open = true;
        Ok(true)
    }
}

/// The result of `next`, or `None` if `end` comes first.
async fn first_of<T>(next: impl Future<Output = Option<T>>, end: impl Future<Output = ()>) -> Option<T> {
    tokio::select! {
        biased;
        () = end => None,
        next = next => next,
    }
}
