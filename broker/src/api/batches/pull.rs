//! Pulling a batch of messages.

use std::time::Duration;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header as standard};
use restante_wire::batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, FRAMES_CONTENT_TYPE};
use tokio::time::{Instant, sleep_until};

use crate::{
    api::{
        PullAdapter,
        messages::{
            pull_request::{PARAMETERS, PullRequest},
            settle_by_get, with_content,
        },
        print::{Messages, Printer, Printing, Stopped, body_of, item},
    },
    clock::Clock,
    http::{Caller, HttpError, body, effects::expect_effects, header::accepts, query::Query},
    service::Handouts,
};

/// The maximum time that a batch waits for more messages, in milliseconds: the leases of the first messages are running
/// meanwhile.
pub(crate) const LINGER_MS_MAX: u32 = 5000;
/// The default of `max`.
const MESSAGES: u32 = 100;

impl PullAdapter {
    pub(super) async fn respond_with_batch(self, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        let no_body = body::expect_none(body, self.body_timeout)?;
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
        let delivery = &self.source.channel().config.delivery;
        let request = PullRequest::parse(&query, &parts.headers, delivery, caller.answers(), Some(max))?;
        let max = max as usize;
        settle_by_get::check(&request, &parts)?;
        let in_frames = accepts(&parts.headers, FRAMES_CONTENT_TYPE);
        // As long as the request's head exists, a waiting receiver keeps the read buffer of its connection.
        drop(query);
        drop(parts);
        body::none(no_body).await?;
        let (handouts, mut headers) = self.received(&request).await?;
        let Some(handouts) = handouts else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let Some(mut handouts) = self.filled(handouts, &request).await? else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let until = Instant::now() + Duration::from_millis(linger.into());
        self.add_ready(&mut handouts, &request, max).await?;
        if linger > 0 && handouts.deliveries().len() + handouts.unreadable() < max {
            tokio::select! {
                () = sleep_until(until) => self.add_ready(&mut handouts, &request, max).await?,
                () = self.source.service().drain.begun() => {}
            }
        }
        request.finish(&mut handouts).await?;
        if handouts.deliveries().is_empty() {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        }
        with_content(&mut headers);
        let media_type = if in_frames { FRAMES_CONTENT_TYPE } else { "application/json" };
        headers.insert(standard::CONTENT_TYPE, HeaderValue::from_static(media_type));
        let batch = Batch {
            handouts,
            clock: self.source.service().clock.clone(),
            leases: !request.auto,
            in_frames,
            position: Position::Start,
        };
        let body = body_of(Printer::new(caller.answers()), batch).await?;
        Ok((StatusCode::OK, headers, body).into_response())
    }

    /// Adds ready messages to the batch, up to `max` messages and the size limit of a batch.
    async fn add_ready(
        &self,
        handouts: &mut Handouts,
        request: &PullRequest,
        max: usize,
    ) -> Result<(), HttpError> {
        let more = self.source.lease_more(handouts, &request.pull, max, BATCH_BYTES_MAX).await;
        more.map_err(|refusal| self.refused(refusal))
    }
}

/// The messages of one answer: frames, or one JSON object with an array.
struct Batch {
    handouts: Handouts,
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
        let Some((delivery, sending)) = self.handouts.take_first() else {
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
            printer.start(Printing::frame(&head, body), sending);
        } else {
            printer.put(if self.position == Position::Start { br#"{"messages":["# } else { b"," });
            self.position = Position::Between;
            printer.start(Printing::json(&head, body), sending);
        }
        Ok(true)
    }
}
