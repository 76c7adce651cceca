//! Looking without taking: at a channel's messages, and at its counts.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, header::CACHE_CONTROL};
use restante_wire::{
    ChannelStats, ProblemType,
    batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, PeekedBatch},
    path,
};

use super::{Adapter, Context, address_in, item, refusal};
use crate::{
    channel::{Sequence, State as MessageState},
    http::{HttpError, body, meaning::expect_effects, query::Query},
};

/// Messages of a look that names no `max`.
const MESSAGES: u32 = 100;
/// The first byte of a cursor of this layout; the sequence to go on at follows.
const CURSOR_VERSION: u8 = 1;

/// `GET /v1/peek/{address}`
pub async fn peek(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.bodies.timeout)?;
    let address = address_in(&parts.uri, path::PEEK)?;
    let source = Adapter::at(&context, &address)?.source(&address)?;
    expect_effects(&parts.headers, &[])?;
    if parts.method == Method::HEAD {
        Query::parse(parts.uri.query(), &[])?;
        body::none(no_body).await?;
        return Ok(source.count());
    }
    let query = Query::parse(parts.uri.query(), &["state", "after", "max"])?;
    let state = match query.word("state") {
        None | Some("ready") => MessageState::Ready,
        Some("leased") => MessageState::Leased,
        Some("delayed") => MessageState::Delayed,
        Some("dead") => MessageState::Dead,
        Some(other) => {
            let detail = format!("the parameter state={other} must be ready, leased, delayed or dead");
            return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
        }
    };
    let max = query.number("max", 1, BATCH_ITEMS_MAX as u32)?.unwrap_or(MESSAGES) as usize;
    let first = query.word("after").map_or(Ok(0), read_cursor)?;
    body::none(no_body).await?;
    let number = source.channel.number;
    let peeked = context.cores.ask(number, &source.channel, move |core, channel| {
        core.peek(channel, state, first, max, BATCH_BYTES_MAX)
    });
    let (mut seen, more) = peeked.await?.map_err(|_| refusal::store_failed())?;
    let next = seen.last().filter(|_| more).map(|last| cursor(last.sequence + 1));
    let mut messages = Vec::with_capacity(seen.len());
    for seen in &mut seen {
        let content = context.cores.content(number, &mut seen.content).await;
        let content = content.map_err(|_| refusal::store_failed())?;
        messages.push(item::seen(seen, &content));
    }
    let peeked = PeekedBatch { messages, next };
    Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(peeked)).into_response())
}

/// `GET /v1/channels/{namespace}/{name}`: one JSON object, what an autoscaler reads.
pub async fn channel(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<ChannelStats>, HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.bodies.timeout)?;
    Query::parse(parts.uri.query(), &[])?;
    expect_effects(&parts.headers, &[])?;
    // A channel's name is read as addresses are: as it stands in the path, with nothing decoded.
    let name = address_in(&parts.uri, path::CHANNELS)?;
    body::none(no_body).await?;
    let entry = match name.as_str().split_once('/') {
        Some((namespace, name)) => context.store.by_name(namespace, name),
        None => None,
    };
    let entry = entry.ok_or_else(|| refusal::unknown(&context, &name, "no channel is named"))?;
    let now = context.clock.now();
    Ok(Json(context.counters.get(entry.number).stats(&entry.config, now)))
}

/// Where a look goes on: opaque to everybody else.
fn cursor(first: Sequence) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend(first.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str) -> Result<Sequence, HttpError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let first = bytes.and_then(|bytes| match bytes.split_first()? {
        (&CURSOR_VERSION, first) => Some(Sequence::from_be_bytes(first.try_into().ok()?)),
        _ => None,
    });
    first.ok_or_else(|| {
        let detail =
            format!("the parameter after={text} must be the field next of an answer before, as it is");
        HttpError::new(ProblemType::ParameterMalformed, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written_and_nothing_else_is_one() {
        assert_eq!(read_cursor(&cursor(77)).unwrap(), 77);
        for bad in ["", "7", "AAAA", "nonsense", &format!("{}A", cursor(1))] {
            assert_eq!(read_cursor(bad).unwrap_err().kind(), ProblemType::ParameterMalformed, "{bad}");
        }
    }
}
