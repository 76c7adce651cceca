//! The first channel adapter: takes a message by POST, and pushes it into the channel that its destination belongs to.

use std::sync::Arc;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use restante_wire::{Address, ProblemType, channel::Durability, header};

use super::{Context, store_failed, unknown};
use crate::{
    address_store::ChannelEntry,
    core::{Content, Push, PushRefusal, Pushed, idempotency},
    http::{HttpError, body, header::idempotency_key, query::Query},
    message,
};

/// The destination side of an address.
pub struct PushAdapter {
    context: Arc<Context>,
    pub(super) channel: Arc<ChannelEntry>,
}

impl PushAdapter {
    /// The adapter of a channel's destination.
    pub fn new(context: &Arc<Context>, channel: Arc<ChannelEntry>) -> Self {
        Self { context: context.clone(), channel }
    }

    /// Takes the message in a request.
    pub async fn handle(self, address: &Address, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        Query::parse(parts.uri.query(), &[])?;
        let key = idempotency_key(&parts.headers)?
            .map(|key| idempotency::hash(self.channel.number, address.as_str(), &key));
        let headers = message::encode_kept(&parts.headers)
            .map_err(|error| HttpError::new(ProblemType::HeadersTooLarge, error.to_string()))?;
        let max = self.channel.config.limits.message_bytes;
        let body = body::read(body, &parts.headers, max, &self.context.body_memory).await?;
        let content = Content { headers, body: body.bytes.clone() };
        let pushed = self
            .context
            .core
            .with(|core| core.push(&self.channel, Push { content, key }))
            .map_err(|refusal| self.refused(address, refusal))?;
        let Pushed { id, replayed, ticket } = pushed;
        ticket.wait().await.map_err(|_| store_failed())?;

        let mut headers = HeaderMap::with_capacity(3);
        let id = HeaderValue::from_str(&id.to_string()).expect("a UUID is visible ASCII");
        headers.insert(HeaderName::from_static(header::MESSAGE_ID), id);
        headers.insert(
            HeaderName::from_static(header::MESSAGE_DURABILITY),
            HeaderValue::from_static(Durability::Fsync.as_str()),
        );
        if replayed {
            let replayed = HeaderName::from_static(header::IDEMPOTENCY_REPLAYED);
            headers.insert(replayed, HeaderValue::from_static("true"));
        }
        Ok((StatusCode::CREATED, headers).into_response())
    }

    fn refused(&self, address: &Address, refusal: PushRefusal) -> HttpError {
        self.context.metrics.rejected.inc();
        match refusal {
            PushRefusal::Closed => unknown(&self.context, address, "no channel takes messages for"),
            PushRefusal::ChannelFull { ready, leased, bytes } => {
                let limits = &self.channel.config.limits;
                let detail = format!(
                    "{} holds {ready} ready and {leased} leased messages with {bytes} bytes, and takes {} with {} \
                     bytes (limits): send again when receivers have made room",
                    self.channel.config.qualified_name(),
                    limits.messages,
                    limits.bytes
                );
                HttpError::new(ProblemType::ChannelFull, detail)
            }
            PushRefusal::TooLarge { max } => {
                let detail = format!(
                    "the message with its headers has more than the {max} bytes that fit a segment of the log (--segment-size)"
                );
                HttpError::new(ProblemType::MessageTooLarge, detail)
            }
            PushRefusal::IdempotencyFull => {
                let detail = "as many idempotency keys are remembered as may be (--idempotency-keys-max): send again \
                              later, or without a key";
                HttpError::new(ProblemType::IdempotencyFull, detail)
            }
            PushRefusal::StoreFull => {
                let detail = "the broker's disk has room only for what empties it: receive and settle messages, or \
                              enlarge the volume";
                HttpError::new(ProblemType::StoreFull, detail)
            }
            PushRefusal::StoreFailed => store_failed(),
        }
    }
}
