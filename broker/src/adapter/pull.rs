//! The second channel adapter: takes a request by GET, finds the channel of its source, and answers with a message's
//! content or, if no message comes within the predetermined time period, with the time-out response.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header as standard};
use restante_wire::header;

use super::{
    Answering, Context, answer,
    leased_messages::LeasedMessages,
    pull_request::{PARAMETERS, PullRequest},
    refusal, settle_by_get, stream,
};
use crate::{
    address_store::ChannelEntry,
    http::{Caller, HttpError, body, effects::expect_effects, header::wants_events, query::Query},
};

/// The source side of an address.
pub struct PullAdapter {
    pub(super) context: Arc<Context>,
    pub(super) channel: Arc<ChannelEntry>,
}

impl PullAdapter {
    /// The adapter of a channel's source.
    pub fn new(context: &Arc<Context>, channel: Arc<ChannelEntry>) -> Self {
        Self { context: context.clone(), channel }
    }

    /// Handles a pull of one message, a pull of a stream, or a HEAD.
    pub fn handle(self, request: Request) -> Result<Answering, HttpError> {
        let (parts, body) = request.into_parts();
        let no_body = body::expect_none(body, self.context.body_timeout)?;
        if parts.method == Method::HEAD {
            Query::parse(parts.uri.query(), &[])?;
            expect_effects(&parts.headers, &[])?;
            return Ok(Box::pin(async move {
                body::none(no_body).await?;
                Ok(self.count())
            }));
        }
        if wants_events(&parts.headers) {
            return stream::events(self, &parts, no_body);
        }
        let query = Query::parse(parts.uri.query(), &PARAMETERS)?;
        let caller = Caller::in_extensions(&parts.extensions);
        let delivery = &self.channel.config.delivery;
        let request = PullRequest::parse(&query, &parts.headers, delivery, caller.answers(), None)?;
        settle_by_get::check(&request, &parts)?;
        Ok(Box::pin(async move {
            body::none(no_body).await?;
            self.respond(&request).await
        }))
    }

    async fn respond(&self, request: &PullRequest) -> Result<Response, HttpError> {
        match self.waited(request).await? {
            // On the heap, so that the future of a waiting receiver does not reserve memory for its answer.
            (Some(held), headers) => Box::pin(self.answer(held, headers, request)).await,
            (None, headers) => Ok((StatusCode::NO_CONTENT, headers).into_response()),
        }
    }

    async fn answer(
        &self,
        held: LeasedMessages,
        mut headers: HeaderMap,
        request: &PullRequest,
    ) -> Result<Response, HttpError> {
        let Some(mut held) = self.filled(held, &request.pull, request.wait.seconds).await? else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        if request.auto {
            held.settle().await.map_err(|_| refusal::store_failed())?;
        } else {
            held.written().await.map_err(|_| refusal::store_failed())?;
        }
        // The lease ended before the settle: the message is not delivered.
        let Some(delivery) = held.deliveries().front() else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let content = delivery.content.content.body.clone();
        let clock = &self.context.clock;
        answer::message(delivery, clock, &mut headers);
        answer::with_content(&mut headers);
        if !request.auto {
            answer::lease(delivery, clock, &mut headers);
        }
        let body = held.release_unsent(request.releases_unsent()).into_body(content);
        Ok((StatusCode::OK, headers, Body::new(body)).into_response())
    }

    /// The answer to a HEAD: the number of ready messages.
    pub fn count(&self) -> Response {
        let ready = self.context.counters.get(self.channel.id).ready();
        let headers = [
            (HeaderName::from_static(header::MESSAGE_READY), HeaderValue::from(ready)),
            (standard::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (StatusCode::OK, headers).into_response()
    }
}
