//! The second channel adapter: takes a request by GET, finds the channel that its source belongs to, and answers with a
//! message's content or, when none comes within the predetermined time period, with the time-out response.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header as standard};
use restante_wire::{ProblemType, header, path};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{Context, leased_body::LeasedBody, store_failed};
use crate::{
    address_store::ChannelEntry,
    channel::WaiterId,
    clock::{Millis, rfc3339},
    core::{Delivered, Delivery, PullRefusal, SharedCore, bounded_lease},
    http::{HttpError, body, header::prefer_wait, query::Query},
    message,
};

/// The source side of an address.
pub struct PullAdapter {
    context: Arc<Context>,
    pub(super) channel: Arc<ChannelEntry>,
}

/// How long a receiver waits, and whether a preference said so.
struct Wait {
    seconds: u32,
    preferred: bool,
}

/// A receiver's place among those who wait; given up when the receiver hangs up.
struct Place {
    core: SharedCore,
    channel: u32,
    id: WaiterId,
    delivery: oneshot::Receiver<Delivery>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.with(|core| core.stop_waiting(self.channel, self.id));
        // A message that came at this very moment finds nobody: it takes its old place.
        if let Ok(delivery) = self.delivery.try_recv() {
            self.core.with(|core| core.take_back(delivery.channel, delivery.granted.claim()));
        }
    }
}

impl PullAdapter {
    /// The adapter of a channel's source.
    pub fn new(context: &Arc<Context>, channel: Arc<ChannelEntry>) -> Self {
        Self { context: context.clone(), channel }
    }

    /// Answers a request for a message, or for how many there are.
    pub async fn handle(self, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        body::expect_none(&body)?;
        if parts.method == Method::HEAD {
            Query::parse(parts.uri.query(), &[])?;
            return Ok(self.count());
        }
        let query = Query::parse(parts.uri.query(), &["wait", "lease"])?;
        let delivery = &self.channel.config.delivery;
        let preferred = prefer_wait(&parts.headers)?;
        let asked = query.seconds("wait", 0)?;
        let wait = Wait {
            seconds: asked.or(preferred).unwrap_or(delivery.wait_seconds).min(delivery.max_wait_seconds),
            preferred: asked.is_none() && preferred.is_some(),
        };
        let lease = bounded_lease(delivery, query.seconds("lease", 1)?);

        let started = Instant::now();
        let delivery = self.next(lease, wait.seconds).await?;
        self.context.metrics.pull_wait_seconds.observe(started.elapsed().as_secs_f64());
        let Some(delivery) = delivery else {
            self.context.metrics.pull_timeouts.inc();
            return Ok((StatusCode::NO_CONTENT, common_headers(&wait)).into_response());
        };
        // From here on the message is the receiver's, unless the answer cannot be sent.
        let ticket = delivery.ticket.clone();
        let mut headers = common_headers(&wait);
        delivery_headers(&delivery, lease, &mut headers);
        let body = LeasedBody::new(self.context.core.clone(), delivery);
        ticket.wait().await.map_err(|_| store_failed())?;
        Ok((StatusCode::OK, headers, Body::new(body)).into_response())
    }

    /// The next message, if one comes within the wait.
    async fn next(&self, lease: Millis, wait_seconds: u32) -> Result<Option<Delivery>, HttpError> {
        let core = &self.context.core;
        let (id, delivery) = match core
            .with(|core| core.pull(&self.channel, lease))
            .map_err(|refusal| self.refused(refusal))?
        {
            Delivered::Now(delivery) => return Ok(Some(delivery)),
            Delivered::Later(id, delivery) => (id, delivery),
        };
        let mut place = Place { core: core.clone(), channel: self.channel.number, id, delivery };
        if wait_seconds == 0 {
            return Ok(None);
        }
        tokio::select! {
            biased;
            delivery = &mut place.delivery => match delivery {
                Ok(delivery) => Ok(Some(delivery)),
                Err(_) if core.with(|core| core.has_failed()) => Err(store_failed()),
                Err(_) => Err(self.refused(PullRefusal::Closed)),
            },
            () = self.context.drain.cancelled() => Ok(None),
            () = sleep(Duration::from_secs(wait_seconds.into())) => Ok(None),
        }
    }

    fn count(&self) -> Response {
        let ready = self.context.counters.get(self.channel.number).ready();
        let headers = [
            (HeaderName::from_static(header::MESSAGE_READY), HeaderValue::from(ready)),
            (standard::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (StatusCode::OK, headers).into_response()
    }

    fn refused(&self, refusal: PullRefusal) -> HttpError {
        let name = self.channel.config.qualified_name();
        match refusal {
            PullRefusal::Closed => {
                let detail = format!("the channel {name} was deleted while the request waited");
                HttpError::new(ProblemType::AddressUnknown, detail)
            }
            PullRefusal::TooManyReceivers { max } => {
                let detail = format!(
                    "{max} receivers wait on {name} already (--waiting-receivers-max): ask again later"
                );
                HttpError::new(ProblemType::TooManyReceivers, detail)
            }
            PullRefusal::StoreFailed => store_failed(),
        }
    }
}

/// What every answer to a pull says.
fn common_headers(wait: &Wait) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(standard::VARY, HeaderValue::from_static("Prefer"));
    if wait.preferred {
        let applied = HeaderName::from_static(header::PREFERENCE_APPLIED);
        headers.insert(applied, ascii(format!("wait={}", wait.seconds)));
    }
    headers
}

/// What the answer says of the message, its content apart.
fn delivery_headers(delivery: &Delivery, lease: Millis, headers: &mut HeaderMap) {
    let Delivery { granted, token, content, .. } = delivery;
    message::decode_kept(&content.headers, headers);
    let mut insert = |name, value| headers.insert(HeaderName::from_static(name), value);
    insert(header::MESSAGE_ID, ascii(granted.stored.id.to_string()));
    insert(header::MESSAGE_ENQUEUED_AT, ascii(rfc3339(granted.stored.enqueued_at)));
    insert(header::MESSAGE_DELIVERIES, HeaderValue::from(granted.deliveries()));
    insert(header::LEASE_DURATION, HeaderValue::from(lease / 1000));
    insert(header::LEASE_EXPIRES_AT, ascii(rfc3339(granted.ends_at)));
    headers.insert(standard::LOCATION, ascii(path::lease(token)));
    // A browser must neither guess what a stranger's content is nor run it.
    headers.insert(standard::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(standard::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

/// A header value of text that the broker made.
pub(super) fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("what the broker prints is visible ASCII")
}
