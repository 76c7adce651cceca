//! Pulling a batch of messages.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header as standard};
use restante_wire::{
    batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, FRAMES_CONTENT_TYPE},
    path,
};
use tokio::time::{Instant, sleep_until};

use super::{
    Adapter, Context, PullAdapter, address_in, answer, item,
    leased_messages::LeasedMessages,
    pieces::{self, Messages, Printer, Stopped},
    printing::Printing,
    pull_request::{PARAMETERS, PullRequest},
    refusal, settle_by_get,
};
use crate::{
    clock::Clock,
    http::{Caller, HttpError, body, effects::expect_effects, header::accepts, query::Query},
};

/// The maximum time that a batch waits for more messages, in milliseconds: the leases of the first messages are running
/// meanwhile.
pub(crate) const LINGER_MS_MAX: u32 = 5000;
/// The default of `max`.
const MESSAGES: u32 = 100;

/// `GET` and `POST /v1/batches/{address}`.
pub async fn batches(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let address = address_in(request.uri(), path::BATCHES)?;
    let adapter = Adapter::at(&context, &address)?;
    if request.method() == Method::POST {
        adapter.destination(&address)?.push_batch(&address, request).await
    } else {
        adapter.source(&address)?.respond_with_batch(request).await
    }
}

impl PullAdapter {
    async fn respond_with_batch(self, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        let no_body = body::expect_none(body, self.context.body_timeout)?;
        if parts.method == Method::HEAD {
            Query::parse(parts.uri.query(), &[])?;
            expect_effects(&parts.headers, &[])?;
            body::none(no_body).await?;
            return Ok(self.count());
        }
        let query = Query::parse(parts.uri.query(), &[&PARAMETERS[..], &["max", "linger_ms"]].concat())?;
        let max = query.number("max", 1, BATCH_ITEMS_MAX as u32)?.unwrap_or(MESSAGES);
        let linger = query.number("linger_ms", 0, LINGER_MS_MAX)?.unwrap_or(0);
        let caller = Caller::in_extensions(&parts.extensions);
        let delivery = &self.channel.config.delivery;
        let request = PullRequest::parse(&query, &parts.headers, delivery, caller.answers(), Some(max))?;
        let max = max as usize;
        settle_by_get::check(&request, &parts)?;
        let in_frames = accepts(&parts.headers, FRAMES_CONTENT_TYPE);
        // As long as the request's head exists, a waiting receiver keeps the read buffer of its connection.
        drop(query);
        drop(parts);
        body::none(no_body).await?;
        let (held, mut headers) = self.waited(&request).await?;
        let Some(held) = held else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let PullRequest { pull, auto, .. } = &request;
        let Some(mut held) = self.filled(held, pull, request.wait.seconds).await? else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let until = Instant::now() + Duration::from_millis(linger.into());
        self.lease_more(&mut held, pull, max).await?;
        if linger > 0 && held.deliveries().len() + held.unreadable() < max {
            tokio::select! {
                () = sleep_until(until) => self.lease_more(&mut held, pull, max).await?,
                () = self.context.drain.begun() => {}
            }
        }
        if *auto {
            held.settle().await.map_err(|_| refusal::store_failed())?;
            if held.deliveries().is_empty() {
                return Ok((StatusCode::NO_CONTENT, headers).into_response());
            }
        } else {
            held.written().await.map_err(|_| refusal::store_failed())?;
        }
        answer::with_content(&mut headers);
        let media_type = if in_frames { FRAMES_CONTENT_TYPE } else { "application/json" };
        headers.insert(standard::CONTENT_TYPE, HeaderValue::from_static(media_type));
        let batch = Batch {
            held: held.release_unsent(request.releases_unsent()),
            clock: self.context.clock.clone(),
            leases: !request.auto,
            in_frames,
            position: Position::Start,
        };
        let printer = Printer::new(&self.context.cores, caller.answers());
        let body = pieces::body(printer, batch).await?;
        Ok((StatusCode::OK, headers, body).into_response())
    }

    /// Adds ready messages to the batch, up to `max` messages and the size limit of a batch.
    async fn lease_more(
        &self,
        held: &mut LeasedMessages,
        pull: &crate::core::Pull,
        max: usize,
    ) -> Result<(), HttpError> {
        let left = max.saturating_sub(held.deliveries().len() + held.unreadable());
        let bytes = BATCH_BYTES_MAX.saturating_sub(held.bytes());
        let (channel_id, back) = (self.channel.id, self.context.cores.clone());
        let more = self.context.cores.ask(channel_id, pull, move |core, pull| {
            core.pull_more(channel_id, pull, left, bytes).map(|more| LeasedMessages::new(back, more))
        });
        let more = more.await.map_err(|_| refusal::draining())?.map_err(|_| refusal::store_failed())?;
        held.extend(more.filled().await.map_err(|_| refusal::store_failed())?);
        Ok(())
    }
}

/// The messages of one answer: frames, or one JSON object with an array.
struct Batch {
    held: LeasedMessages,
    clock: Clock,
    /// Whether the messages have leases; otherwise they are already settled.
    leases: bool,
    in_frames: bool,
    position: Position,
}

/// The part of the JSON object that is printed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Start,
    Between,
    End,
}

impl Messages for Batch {
    async fn start_next(&mut self, printer: &mut Printer) -> Result<bool, Stopped> {
        let Some((delivery, leased)) = self.held.take_first() else {
            let is_open = !self.in_frames && self.position == Position::Between;
            if is_open {
                printer.put(b"]}");
                self.position = Position::End;
            }
            return Ok(is_open);
        };
        let head = item::delivered(&delivery, &self.clock, self.leases);
        let body = delivery.content.content.body;
        if self.in_frames {
            printer.start(Printing::frame(&head, body), leased);
        } else {
            printer.put(if self.position == Position::Start { br#"{"messages":["# } else { b"," });
            self.position = Position::Between;
            printer.start(Printing::json(&head, body), leased);
        }
        Ok(true)
    }
}
