//! The second channel adapter: takes a request by GET, finds the channel of its source, and answers with a message's
//! content or, if no message comes within the predetermined time period, with the time-out response.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header as standard};
use restante_wire::{header, path};

use super::{
    head,
    pull_request::{PARAMETERS, PullRequest},
    settle_by_get,
};
use crate::{
    api::{Answering, ascii, print::SendingBody, refusal, stream},
    http::{Caller, HttpError, body, effects::expect_effects, header::wants_events, query::Query},
    service::{Handouts, ReceiveRefusal, Settles, Source},
};

/// The source side of an address.
pub struct PullAdapter {
    pub(in crate::api) source: Source,
    pub(in crate::api) body_timeout: Duration,
}

impl PullAdapter {
    /// The adapter of a channel's source.
    pub fn new(source: Source, body_timeout: Duration) -> Self {
        Self { source, body_timeout }
    }

    /// Handles a pull of one message, a pull of a stream, or a HEAD.
    pub fn handle(self, request: Request) -> Result<Answering, HttpError> {
        let (parts, body) = request.into_parts();
        let no_body = body::expect_none(body, self.body_timeout)?;
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
        let delivery = &self.source.channel().config.delivery;
        let request = PullRequest::parse(&query, &parts.headers, delivery, caller.answers(), None)?;
        settle_by_get::check(&request, &parts)?;
        Ok(Box::pin(async move {
            body::none(no_body).await?;
            self.respond(&request).await
        }))
    }

    async fn respond(&self, request: &PullRequest) -> Result<Response, HttpError> {
        match self.received(request).await? {
            // On the heap, so that the future of a waiting receiver does not reserve memory for its answer.
            (Some(handouts), headers) => Box::pin(self.answer(handouts, headers, request)).await,
            (None, headers) => Ok((StatusCode::NO_CONTENT, headers).into_response()),
        }
    }

    async fn answer(
        &self,
        handouts: Handouts,
        mut headers: HeaderMap,
        request: &PullRequest,
    ) -> Result<Response, HttpError> {
        let Some(mut handouts) = self.filled(handouts, request).await? else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        request.finish(&mut handouts).await?;
        // The lease ended before the settle: the message is not delivered.
        let Some((delivery, sending)) = handouts.take_first() else {
            return Ok((StatusCode::NO_CONTENT, headers).into_response());
        };
        let clock = &self.source.service().clock;
        head::message(&delivery, clock, &mut headers);
        head::with_content(&mut headers);
        if !request.auto {
            head::lease(&delivery, clock, &mut headers);
        }
        let body = SendingBody::new(sending, delivery.content.content.body);
        Ok((StatusCode::OK, headers, Body::new(body)).into_response())
    }

    /// Settles the acknowledged leases, and waits for the next message; call [`Self::filled`] next. The headers are the
    /// common ones of every answer.
    pub(in crate::api) async fn received(
        &self,
        request: &PullRequest,
    ) -> Result<(Option<Handouts>, HeaderMap), HttpError> {
        let (settles, failed) = self.acknowledge(&request.acknowledge).await?;
        let received = self.source.receive(&request.pull, request.wait.seconds, &settles).await;
        let handouts = received.map_err(|refusal| self.refused(refusal))?;
        Ok((handouts, head::common(request.wait, failed)))
    }

    /// Loads the bodies of the messages; `None` if none of them can be read and no other comes.
    pub(in crate::api) async fn filled(
        &self,
        handouts: Handouts,
        request: &PullRequest,
    ) -> Result<Option<Handouts>, HttpError> {
        let filled = self.source.filled(handouts, &request.pull, request.wait.seconds).await;
        filled.map_err(|refusal| self.refused(refusal))
    }

    /// Settles the leases that a pull acknowledges. Also returns the header that names the leases that failed.
    async fn acknowledge(&self, leases: &[String]) -> Result<(Settles, Option<HeaderValue>), HttpError> {
        if leases.is_empty() {
            return Ok(Default::default());
        }
        let service = self.source.service();
        let claims: Vec<_> = leases.iter().map(|lease| service.lease(path::lease_token(lease))).collect();
        let known = claims.iter().flatten().copied().collect();
        let (settles, outcomes) = service.begin_settles(known).await?;
        let mut outcomes = outcomes.into_iter();
        let mut failed = Vec::new();
        for (lease, claim) in leases.iter().zip(claims) {
            let outcome = match claim.and_then(|_| outcomes.next()) {
                Some(outcome) => outcome.map_err(refusal::settle),
                None => Err(refusal::lease_unknown()),
            };
            if let Err(error) = outcome {
                failed.push(format!("{lease};reason={}", error.kind().name()));
            }
        }
        let failed = (!failed.is_empty()).then(|| ascii(failed.join(", ")));
        Ok((settles, failed))
    }

    /// The answer to a HEAD: the number of ready messages.
    pub(in crate::api) fn count(&self) -> Response {
        let headers = [
            (HeaderName::from_static(header::MESSAGE_READY), HeaderValue::from(self.source.ready())),
            (standard::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (StatusCode::OK, headers).into_response()
    }

    pub(in crate::api) fn refused(&self, refusal: ReceiveRefusal) -> HttpError {
        refusal::receive(&self.source.channel().config.qualified_name(), refusal)
    }
}
