//! Many messages in one request.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header as standard};
use restante_wire::{
    Address, ProblemType,
    batch::{
        BATCH_BYTES_MAX, BATCH_ITEMS_MAX, FRAMES_CONTENT_TYPE, FramesError, Item, ItemHead, PushBatch,
        PushResult, PushResults, decode_frames,
    },
    header,
};

use super::{PushAdapter, held::wait_for_all, refusal, said::Said};
use crate::{
    core::{Content, Push, PushRefusal, Pushed},
    http::{Caller, HttpError, body::Announced, header::content_type, query::Query},
    message,
};

impl PushAdapter {
    /// Takes the messages in a request: each on its own, all in one sync.
    pub(super) async fn take_batch(self, address: &Address, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        Query::parse(parts.uri.query(), &[])?;
        let kind = Kind::of(&parts.headers)?;
        let body = Announced::new(body, &parts.headers);
        let caller = Caller::in_extensions(&parts.extensions);
        drop(parts);
        let body = body.read_batch(BATCH_BYTES_MAX, &caller, self.context.body_timeout).await?;
        let items = kind.read(&body.bytes)?;
        let pushes: Vec<_> =
            items.into_iter().map(|(head, content)| self.prepare(address, head, content)).collect();
        let mut good = Vec::with_capacity(pushes.len());
        let pushes: Vec<Result<(), HttpError>> =
            pushes.into_iter().map(|push| push.map(|push| good.push(push))).collect();
        let mut done =
            self.push_all(good).await.map_err(|refusal| self.refused(address, refusal))?.into_iter();
        let stored = pushes.into_iter().map(|push| {
            push?;
            let done = done.next().unwrap_or(Err(PushRefusal::Gone));
            done.map_err(|refusal| self.refused(address, refusal))
        });
        let stored: Vec<Result<Pushed, HttpError>> = stored.collect();
        let tickets = stored.iter().flatten().map(|pushed| pushed.ticket.clone()).collect();
        let (cores, channel) = (&self.context.cores, self.channels[0].number);
        wait_for_all(cores, channel, tickets).await.map_err(|_| refusal::store_failed())?;

        let results = stored.into_iter().map(result).collect();
        let durability = HeaderValue::from_static(self.durability().as_str());
        let headers = [
            (HeaderName::from_static(header::MESSAGE_DURABILITY), durability),
            (standard::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Ok((StatusCode::OK, headers, Json(PushResults { results })).into_response())
    }

    /// One message, if it can be obeyed.
    fn prepare(&self, address: &Address, head: ItemHead, body: Bytes) -> Result<Push, HttpError> {
        let max = self.message_bytes_max();
        if body.len() as u64 > max {
            let detail = format!(
                "the content has {} bytes, and this channel takes {max} (limits.messageBytes): send less, or raise the \
                 limit",
                body.len()
            );
            return Err(HttpError::new(ProblemType::MessageTooLarge, detail));
        }
        let said = Said::in_item(&head)?;
        let headers = message::encode_kept(&self.kept_headers(head)?, |name| self.keeps(name))
            .map_err(|error| HttpError::new(ProblemType::HeadersTooLarge, error.to_string()))?;
        said.push(address, &self.channels, Content { headers, body })
    }

    /// The kept headers that an item's fields say.
    fn kept_headers(&self, head: ItemHead) -> Result<HeaderMap, HttpError> {
        let ItemHead { content_type, content_encoding, headers: others, .. } = head;
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let malformed = |reason: &str| {
                HttpError::new(
                    ProblemType::ItemMalformed,
                    format!("the header {name:?} of the item {reason}"),
                )
            };
            let lower = name.to_ascii_lowercase();
            if !self.keeps(&lower) {
                return Err(malformed(
                    "is not kept with messages: content-*, ce-*, meta-*, trace and reply headers are, \
                     and what its channel names (keepHeaders)",
                ));
            }
            let name = HeaderName::try_from(lower).map_err(|_| malformed("has no header's name"))?;
            let value = HeaderValue::try_from(value).map_err(|_| malformed("has no header's value"))?;
            headers.append(name, value);
            Ok(())
        };
        content_type.iter().try_for_each(|value| add("content-type", value))?;
        content_encoding.iter().try_for_each(|value| add("content-encoding", value))?;
        for (name, values) in &others {
            values.iter().try_for_each(|value| add(name, value))?;
        }
        Ok(headers)
    }
}

/// What became of one message.
fn result(stored: Result<Pushed, HttpError>) -> PushResult {
    match stored {
        Ok(Pushed { id, replayed, .. }) => PushResult {
            status: StatusCode::CREATED.as_u16(),
            id: Some(id.to_string()),
            replayed,
            problem: None,
        },
        Err(error) => {
            let problem = error.problem();
            PushResult { status: problem.status, id: None, replayed: false, problem: Some(problem) }
        }
    }
}

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Frames,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, HttpError> {
        match content_type(headers) {
            Some("application/json") => Ok(Self::Json),
            Some(FRAMES_CONTENT_TYPE) => Ok(Self::Frames),
            other => {
                let detail = format!(
                    "a batch is application/json or {FRAMES_CONTENT_TYPE}, and this one says {}",
                    other.unwrap_or("nothing")
                );
                Err(HttpError::new(ProblemType::MediaTypeUnsupported, detail))
            }
        }
    }

    /// The items; all or none.
    fn read(self, bytes: &Bytes) -> Result<Vec<(ItemHead, Bytes)>, HttpError> {
        let malformed = |reason: String| HttpError::new(ProblemType::BodyMalformed, reason);
        match self {
            Self::Json => {
                let batch: PushBatch = serde_json::from_slice(bytes).map_err(|error| {
                    malformed(format!("the batch is malformed, and nothing was stored: {error}"))
                })?;
                if batch.messages.len() > BATCH_ITEMS_MAX {
                    return Err(too_many());
                }
                Ok(batch
                    .messages
                    .into_iter()
                    .map(|Item { content, head }| (head, content.0.into()))
                    .collect())
            }
            Self::Frames => {
                let frames = decode_frames::<ItemHead>(bytes).map_err(|error| match error {
                    FramesError::TooMany => too_many(),
                    error => malformed(format!("the batch is malformed, and nothing was stored: {error}")),
                })?;
                Ok(frames.into_iter().map(|(head, content)| (head, bytes.slice_ref(content))).collect())
            }
        }
    }
}

fn too_many() -> HttpError {
    let detail = format!("a batch has at most {BATCH_ITEMS_MAX} items: send several");
    HttpError::new(ProblemType::BatchTooLarge, detail)
}
