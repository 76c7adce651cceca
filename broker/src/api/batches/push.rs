//! Pushing a batch of messages.

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
        BATCH_BYTES_MAX, BATCH_ITEMS_MAX, FRAMES_CONTENT_TYPE, Frame, FramesError, Item, ItemHead,
        PushResult, PushResults, read_batch, split_frames,
    },
    header,
    json::{self, Fault},
};

use crate::{
    api::{
        PushAdapter,
        messages::draft::{self, PropertySource},
        off_thread, refusal,
    },
    http::{Caller, HttpError, body::Announced, effects, header::content_type, query::Query},
    message::{self, Content},
    service::Stored,
    shard::{Push, PushRefusal},
};

/// The memory of a batch, as a multiple of its size: the body and the parsed items.
const READ_TIMES: u64 = 2;

impl PushAdapter {
    /// Stores the messages of a request: independently of each other, with one sync.
    pub(super) async fn push_batch(self, address: &Address, request: Request) -> Result<Response, HttpError> {
        let (parts, body) = request.into_parts();
        Query::parse(parts.uri.query(), &[])?;
        let kind = Kind::of(&parts.headers)?;
        effects::expect_no_coding(&parts.headers, "batches")?;
        effects::expect_effects(&parts.headers, &[])?;
        effects::expect_none_kept(&parts.headers)?;
        let body = Announced::new(body, &parts.headers);
        let caller = Caller::in_extensions(&parts.extensions);
        drop(parts);
        let mut body = body.read_batch(BATCH_BYTES_MAX, READ_TIMES, &caller, self.body_timeout).await?;
        // Parsed JSON takes about as much memory as its text.
        body.double(&caller)?;
        let items = off_thread::read(&body.bytes, move |bytes| kind.read(bytes)).await?;
        let pushes = items.into_iter().enumerate().map(|(index, item)| {
            let (head, content) =
                item.map_err(|fault| HttpError::new(ProblemType::ItemMalformed, fault.to_string()))?;
            self.prepare(address, head, content, &caller).map_err(|error| match error.kind() {
                // The detail begins with the field's name, so the item's path goes before it.
                ProblemType::ItemMalformed => error.within(&kind.item(index)),
                _ => error,
            })
        });
        let pushes: Vec<_> = pushes.collect();
        let mut good = Vec::with_capacity(pushes.len());
        let pushes: Vec<Result<(), HttpError>> =
            pushes.into_iter().map(|push| push.map(|push| good.push(push))).collect();
        let refused = |refusal| refusal::push(self.destination.service(), address, refusal);
        let mut done = self.destination.push_all(good).await.map_err(refused)?.into_iter();
        let stored = pushes.into_iter().map(|push| {
            push?;
            done.next().unwrap_or(Err(PushRefusal::Gone)).map_err(refused)
        });
        let results = stored.map(result).collect();
        let durability = HeaderValue::from_static(self.destination.durability().as_str());
        let headers = [
            (HeaderName::from_static(header::MESSAGE_DURABILITY), durability),
            (standard::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Ok((StatusCode::OK, headers, Json(PushResults { results })).into_response())
    }

    /// Validates one item of the batch.
    fn prepare(
        &self,
        address: &Address,
        head: ItemHead,
        body: Bytes,
        caller: &Caller,
    ) -> Result<Push, HttpError> {
        let max = self.destination.message_bytes_max();
        if body.len() as u64 > max {
            let detail = format!(
                "the body has {} bytes, which exceeds the channel's limit of {max} (limits.messageBytes); send \
                 less, or raise the limit",
                body.len()
            );
            return Err(HttpError::new(ProblemType::MessageTooLarge, detail));
        }
        let draft = draft::in_item(&head)?;
        let headers = message::encode_kept(&self.kept_headers(head)?, |name| self.destination.keeps(name))
            .map_err(|error| HttpError::new(ProblemType::HeadersTooLarge, error.to_string()))?;
        let content = Content { headers, body };
        let push = self.destination.prepare(address, draft, content, caller.answers());
        push.map_err(|refusal| draft::refused(&refusal, PropertySource::Item))
    }

    /// The kept headers in an item's fields.
    fn kept_headers(&self, head: ItemHead) -> Result<HeaderMap, HttpError> {
        let ItemHead { content_type, content_encoding, headers: others, .. } = head;
        let mut headers = HeaderMap::new();
        let malformed = |field: &str, reason: &str| {
            HttpError::new(ProblemType::ItemMalformed, format!("{field} {reason}"))
        };
        let mut add = |field: &str, name: &str, value: &str| {
            let name =
                HeaderName::try_from(name).map_err(|_| malformed(field, "is not a valid header name"))?;
            if header::KEPT_ONCE.contains(&name.as_str()) && headers.contains_key(&name) {
                return Err(malformed(field, "is given more than once; give it once"));
            }
            let value = HeaderValue::try_from(value).map_err(|_| {
                malformed(field, "is not a valid header value; use visible characters and spaces")
            })?;
            headers.append(name, value);
            Ok(())
        };
        let fields = [
            ("contentType", "content-type", &content_type),
            ("contentEncoding", "content-encoding", &content_encoding),
        ];
        for (field, name, value) in fields {
            if value.as_ref().is_some_and(String::is_empty) {
                return Err(malformed(field, "is empty; leave it out"));
            }
            value.iter().try_for_each(|value| add(field, name, value))?;
        }
        for (name, values) in &others {
            let (field, lower) = (format!("headers.{name}"), name.to_ascii_lowercase());
            if !self.destination.keeps(&lower) {
                let reason = "is not kept with messages; use content-*, ce-*, meta-*, a trace or reply header, or one \
                              in the channel's keepHeaders";
                return Err(malformed(&field, reason));
            }
            if let Some((also, ..)) = fields.iter().find(|(_, kept, value)| *kept == lower && value.is_some())
            {
                return Err(malformed(&field, &format!("and {also} are both given; give one of them")));
            }
            values.iter().try_for_each(|value| add(&field, &lower, value))?;
        }
        Ok(headers)
    }
}

/// The result of one item.
fn result(stored: Result<Stored, HttpError>) -> PushResult {
    match stored {
        Ok(Stored { id, replayed }) => PushResult {
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

/// The encoding of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Frames,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, HttpError> {
        let named = content_type(headers)?;
        let is = |media_type: &str| named.is_some_and(|named| named.eq_ignore_ascii_case(media_type));
        if is("application/json") {
            Ok(Self::Json)
        } else if is(FRAMES_CONTENT_TYPE) {
            Ok(Self::Frames)
        } else {
            let detail = format!(
                "the Content-Type of the batch is not supported: {}; send application/json or {FRAMES_CONTENT_TYPE}",
                named.unwrap_or("none")
            );
            Err(HttpError::new(ProblemType::MediaTypeUnsupported, detail))
        }
    }

    /// The path of an item in error details.
    fn item(self, index: usize) -> String {
        match self {
            Self::Json => format!("messages[{index}]"),
            Self::Frames => format!("frames[{index}]"),
        }
    }

    /// Parses the batch: the items, each either valid or with its error; or an error of the whole batch.
    fn read(self, bytes: &Bytes) -> Result<Vec<ReadItem>, HttpError> {
        effects::expect_not_gzip(bytes, "batches")?;
        let malformed = |reason: &dyn std::fmt::Display| {
            let detail = format!("the batch is malformed: {reason}; nothing was stored");
            HttpError::new(ProblemType::BodyMalformed, detail)
        };
        match self {
            Self::Json => {
                let items = read_batch(bytes).map_err(|fault| match fault.is_too_many {
                    true => too_many(),
                    false => malformed(&fault),
                })?;
                let items = items.into_iter();
                Ok(items.map(|item| item.map(|Item { content, head }| (head, content.0.into()))).collect())
            }
            Self::Frames => {
                let frames = split_frames(bytes).map_err(|error| match error {
                    FramesError::TooMany => too_many(),
                    error => malformed(&error),
                })?;
                let items = frames.into_iter().enumerate().map(|(index, Frame { head, content })| {
                    let head = json::read(head).map_err(|fault| fault.within(&self.item(index)))?;
                    Ok((head, bytes.slice_ref(content)))
                });
                Ok(items.collect())
            }
        }
    }
}

/// An item's head and content, or its error.
type ReadItem = Result<(ItemHead, Bytes), Fault>;

fn too_many() -> HttpError {
    let detail = format!("the batch exceeds the limit of {BATCH_ITEMS_MAX} items; send several");
    HttpError::new(ProblemType::BatchTooLarge, detail)
}
