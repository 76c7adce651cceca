//! Many messages in one answer.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header as standard};
use restante_wire::{
    batch::{
        BATCH_BYTES_MAX, BATCH_ITEMS_MAX, Content, DeliveredItem, FRAMES_CONTENT_TYPE, PulledBatch,
        encode_frame,
    },
    path,
};
use tokio::time::{Instant, sleep_until};

use super::{
    Adapter, Context, PullAdapter, address_in, answer,
    asked::{PARAMETERS, PullRequest},
    held::Held,
    item, refusal,
};
use crate::http::{HttpError, body, header::accepts, meaning::expect_effects, query::Query};

/// The longest time that a batch waits for more messages, in milliseconds: longer, and the first ones grow stale.
pub(crate) const LINGER_MS_MAX: u32 = 5000;
/// Messages of a batch that names no `max`.
const MESSAGES: u32 = 100;

/// `GET` and `POST /v1/batches/{address}`.
pub async fn batches(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let address = address_in(request.uri(), path::BATCHES)?;
    let adapter = Adapter::at(&context, &address)?;
    if request.method() == Method::POST {
        adapter.destination(&address)?.take_batch(&address, request).await
    } else {
        adapter.source(&address)?.give_batch(request).await
    }
}

impl PullAdapter {
    async fn give_batch(self, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        let no_body = body::expect_none(body, self.context.bodies.timeout)?;
        if parts.method == Method::HEAD {
            Query::parse(parts.uri.query(), &[])?;
            expect_effects(&parts.headers, &[])?;
            body::none(no_body).await?;
            return Ok(self.count());
        }
        let query = Query::parse(parts.uri.query(), &[&PARAMETERS[..], &["max", "linger_ms"]].concat())?;
        let max = query.number("max", 1, BATCH_ITEMS_MAX as u32)?.unwrap_or(MESSAGES);
        let linger = query.number("linger_ms", 0, LINGER_MS_MAX)?.unwrap_or(0);
        let request = PullRequest::parse(&query, &parts.headers, &self.channel.config.delivery, Some(max))?;
        let max = max as usize;
        let in_frames = accepts(&parts.headers, FRAMES_CONTENT_TYPE);
        // A receiver that waits holds its connection's buffer for as long as the request's head is there.
        drop(query);
        drop(parts);
        body::none(no_body).await?;
        let (held, mut headers) = self.waited(&request).await?;
        let Some(held) = held else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let PullRequest { asked, auto, .. } = &request;
        let mut held = held.filled().await.map_err(|_| refusal::store_failed())?;
        let until = Instant::now() + Duration::from_millis(linger.into());
        self.take_more(&mut held, asked, max).await?;
        if linger > 0 && held.deliveries().len() < max {
            tokio::select! {
                () = sleep_until(until) => self.take_more(&mut held, asked, max).await?,
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
        let bytes = self.print(&held, *auto, in_frames, &mut headers);
        answer::with_content(&mut headers);
        let body = held.into_body(&self.context, bytes, &request);
        Ok((StatusCode::OK, headers, Body::new(body)).into_response())
    }

    /// What may be had besides, up to `max` messages and the bytes of a batch.
    async fn take_more(
        &self,
        held: &mut Held,
        asked: &crate::core::Asked,
        max: usize,
    ) -> Result<(), HttpError> {
        let left = max.saturating_sub(held.deliveries().len());
        let bytes = BATCH_BYTES_MAX.saturating_sub(held.bytes());
        let (number, back) = (self.channel.number, self.context.cores.clone());
        let more = self.context.cores.ask(number, asked, move |core, asked| {
            core.pull_more(number, asked, left, bytes).map(|more| Held::new(back, more))
        });
        let more = more.await.map_err(|_| refusal::draining())?.map_err(|_| refusal::store_failed())?;
        held.extend(more.filled().await.map_err(|_| refusal::store_failed())?);
        Ok(())
    }

    /// The body: frames for whoever accepts them, else JSON.
    fn print(&self, held: &Held, auto: bool, in_frames: bool, headers: &mut HeaderMap) -> Bytes {
        let now = self.context.clock.now();
        let items = held.deliveries().iter().map(|delivery| {
            let lease = (!auto).then(|| item::lease_seconds(delivery, now));
            (item::delivered(delivery, lease), &delivery.content.content.body)
        });
        let mut bytes = Vec::new();
        if in_frames {
            items.for_each(|(head, content)| encode_frame(&head, content, &mut bytes));
            headers.insert(standard::CONTENT_TYPE, HeaderValue::from_static(FRAMES_CONTENT_TYPE));
        } else {
            let messages = items
                .map(|(head, content)| DeliveredItem { content: Content(content.to_vec()), head })
                .collect();
            serde_json::to_writer(&mut bytes, &PulledBatch { messages })
                .expect("items have only JSON's own types");
            headers.insert(standard::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        bytes.into()
    }
}
