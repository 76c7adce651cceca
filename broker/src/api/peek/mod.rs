//! Peeking at the messages of a channel, without leasing.

mod answer;
mod dead_letters;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use restante_wire::{ProblemType, batch::BATCH_ITEMS_MAX, path};

use self::answer::PeekRequest;
use super::{Adapter, Context, address_in};
use crate::{
    channel::{Sequence, State as MessageState},
    http::{Caller, HttpError, body, effects::expect_effects, query::Query},
    service::peek::{Filter, Span},
};

/// The default of `max`.
const MESSAGES: u32 = 100;
/// The first byte of a cursor of this layout. The sequence to continue at follows.
const CURSOR_VERSION: u8 = 1;

/// `GET /v1/peek/{address}`
pub(super) async fn peek(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let no_body = body::expect_none(body, context.body_timeout)?;
    let address = address_in(&parts.uri, path::PEEK)?;
    let adapter = Adapter::at(&context, &address)?.source(&address)?;
    expect_effects(&parts.headers, &[])?;
    if parts.method == Method::HEAD {
        Query::parse(parts.uri.query(), &[])?;
        body::none(no_body).await?;
        return Ok(adapter.count());
    }
    let caller = Caller::in_extensions(&parts.extensions);
    let query = Query::parse(parts.uri.query(), &["state", "after", "max"])?;
    if query.word("state") == Some("dead-letters") {
        body::none(no_body).await?;
        return dead_letters::peek(&context.service, &caller, adapter.source.channel(), &query).await;
    }
    let state = match query.word("state") {
        None | Some("ready") => MessageState::Ready,
        Some("leased") => MessageState::Leased,
        Some("delayed") => MessageState::Delayed,
        Some("dead") => MessageState::Dead,
        Some(other) => {
            let detail = format!(
                "the parameter state={other} is invalid; give ready, leased, delayed, dead or dead-letters"
            );
            return Err(HttpError::new(ProblemType::ParameterMalformed, detail));
        }
    };
    let max = query.number("max", 1, BATCH_ITEMS_MAX as u32)?.unwrap_or(MESSAGES) as usize;
    let first = query.word("after").map_or(Ok(0), read_cursor)?;
    body::none(no_body).await?;
    let request = PeekRequest {
        spans: vec![Span { entry: adapter.source.channel().clone(), state, filter: Filter::All }],
        from: (0, first),
        max,
        cursor: |_, first| cursor(first),
    };
    answer::to(&context.service, &caller, request).await
}

/// The opaque cursor of a peek that continues at a sequence.
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
        let detail = format!(
            "the parameter after={text} is invalid; give the field next of an earlier answer, unchanged"
        );
        HttpError::new(ProblemType::ParameterMalformed, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_parsing_and_any_other_text_is_rejected() {
        assert_eq!(read_cursor(&cursor(77)).unwrap(), 77);
        for bad in ["", "7", "AAAA", "nonsense", &format!("{}A", cursor(1))] {
            assert_eq!(read_cursor(bad).unwrap_err().kind(), ProblemType::ParameterMalformed, "{bad}");
        }
    }
}
