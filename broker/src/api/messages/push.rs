//! The first channel adapter: takes a message by POST, and pushes it into the channel of its destination, or into all
//! channels that share the destination.

use std::time::Duration;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use restante_wire::{Address, ProblemType, header};

use super::draft::{self, PropertySource};
use crate::{
    api::{Answering, ascii, refusal},
    http::{
        Caller, HttpError,
        body::{Announced, WholeBody},
        effects::expect_effects,
        header::{expect_kept_once, prefer_wait},
        query::Query,
    },
    message::{self, Content},
    service::{Destination, Draft, Stored},
};

/// The destination side of an address.
pub struct PushAdapter {
    pub(in crate::api) destination: Destination,
    pub(in crate::api) body_timeout: Duration,
}

/// A parsed push whose body is not read yet.
struct PushRequest {
    draft: Draft,
    /// How long the sender waits for room, in seconds.
    wait: Option<u32>,
    /// The encoded kept headers.
    headers: Bytes,
    body: Announced,
    caller: Caller,
}

impl PushAdapter {
    /// The adapter of a destination.
    pub fn new(destination: Destination, body_timeout: Duration) -> Self {
        Self { destination, body_timeout }
    }

    /// Handles a push.
    pub fn handle(self, address: Address, request: Request) -> Result<Answering, HttpError> {
        let push = self.parse(request)?;
        Ok(Box::pin(async move { self.take(&address, push).await }))
    }

    async fn take(&self, address: &Address, push: PushRequest) -> Result<Response, HttpError> {
        let Self { destination, body_timeout } = self;
        let PushRequest { draft, wait, headers, body, caller } = push;
        let WholeBody { bytes: body, memory: _in_flight } =
            body.read(destination.message_bytes_max(), &caller, *body_timeout).await?;
        let content = Content { headers, body };
        let push = destination
            .prepare(address, draft, content, caller.answers())
            .map_err(|refusal| draft::refused(&refusal, PropertySource::Header))?;
        let stored = destination.push(push, wait, caller.bodies()).await;
        let stored = stored.map_err(|refusal| refusal::push(destination.service(), address, refusal))?;
        Ok(self.answer(stored, wait))
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
        let wait_max = self.destination.wait_seconds_max();
        Ok(PushRequest {
            draft: draft::in_headers(&parts.headers)?,
            wait: prefer_wait(&parts.headers)?.map(|wait| wait.min(wait_max)),
            headers: message::encode_kept(&parts.headers, |name| self.destination.keeps(name))
                .map_err(|error| HttpError::new(ProblemType::HeadersTooLarge, error.to_string()))?,
            body: Announced::new(body, &parts.headers),
            caller: Caller::in_extensions(&parts.extensions),
        })
    }

    /// The 201 for a stored message.
    fn answer(&self, Stored { id, replayed }: Stored, wait: Option<u32>) -> Response {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(HeaderName::from_static(header::MESSAGE_ID), ascii(id.to_string()));
        let durability = HeaderValue::from_static(self.destination.durability().as_str());
        headers.insert(HeaderName::from_static(header::MESSAGE_DURABILITY), durability);
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
}
