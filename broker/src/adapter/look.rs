//! Looking without taking: at a channel's messages, and at its counts.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderValue, Method,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use restante_wire::{
    ChannelStats, ProblemType,
    batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX},
    path,
};
use tokio::time::timeout;

use super::{
    Adapter, Context, PullAdapter, address_in, item,
    pieces::{self, Messages, Printer, Stopped},
    printing::Printing,
    refusal,
};
use crate::{
    channel::{Sequence, State as MessageState},
    core::{Look, Recorded, Seen},
    http::{Caller, HttpError, body, query::Query},
    shared::Share,
};

/// Messages of a look that names no `max`.
const MESSAGES: u32 = 100;
/// How long a look that has begun waits for memory to go on: other answers leave, or are given up, within less.
const MEMORY_WITHIN: Duration = Duration::from_secs(60);
/// The first byte of a cursor of this layout; the sequence to go on at follows.
const CURSOR_VERSION: u8 = 1;

/// `GET /v1/peek/{address}`
pub async fn peek(State(context): State<Arc<Context>>, request: Request) -> Result<Response, HttpError> {
    body::expect_none(request.body())?;
    let address = address_in(&request, path::PEEK)?;
    let source = Adapter::at(&context, &address)?.source(&address)?;
    if *request.method() == Method::HEAD {
        return Ok(source.count());
    }
    let query = Query::parse(request.uri().query(), &["state", "after", "max"])?;
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
    let caller = Caller::of(&request);
    let peek = Peek {
        source,
        answers: caller.answers().clone(),
        state,
        next: first,
        left: max,
        bytes: BATCH_BYTES_MAX,
        place: Place::Start,
    };
    let printer = Printer::new(&context.cores, caller.answers());
    let body = pieces::body(printer, peek).await?;
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    Ok((headers, body).into_response())
}

/// One look at a channel's messages: each is read when the one before has left.
struct Peek {
    source: PullAdapter,
    answers: Share,
    state: MessageState,
    /// Where to go on.
    next: Sequence,
    /// How many messages more, of how many bytes.
    left: usize,
    bytes: u64,
    place: Place,
}

/// What is printed next of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Between,
    End,
}

/// How a look went on.
enum Looked {
    Message(Box<Seen>, Recorded),
    /// There may be more, for another request.
    More,
    End,
}

impl Peek {
    async fn look(&mut self) -> Result<Looked, Stopped> {
        if self.left == 0 {
            return Ok(Looked::More);
        }
        let Context { cores, .. } = &*self.source.context;
        let number = self.source.channel.number;
        // One message is seen whatever its size.
        let bytes = if self.place == Place::Start { u64::MAX } else { self.bytes };
        let (state, first) = (self.state, self.next);
        loop {
            let freed = self.answers.purse().freed();
            let asked = (self.source.channel.clone(), self.answers.clone());
            let look = cores.ask(number, &asked, move |core, (channel, answers)| {
                core.look(channel, state, first, bytes, answers)
            });
            let mut seen = match look.await.map_err(|_| Stopped::Gone)?? {
                Look::Seen(seen) => seen,
                Look::TooLarge(sequence) => {
                    self.next = sequence;
                    return Ok(Looked::More);
                }
                Look::End => return Ok(Looked::End),
                Look::NoMemory if self.place == Place::Start => return Err(Stopped::Busy),
                Look::NoMemory => {
                    timeout(MEMORY_WITHIN, freed).await.map_err(|_| Stopped::Busy)?;
                    continue;
                }
            };
            let recorded = cores.content(number, &mut seen.content).await?;
            self.next = seen.sequence + 1;
            self.left -= 1;
            self.bytes = self.bytes.saturating_sub(seen.message.stored.bytes.into());
            return Ok(Looked::Message(seen, recorded));
        }
    }
}

impl Messages for Peek {
    async fn start_next(&mut self, printer: &mut Printer) -> Result<bool, Stopped> {
        if self.place == Place::End {
            return Ok(false);
        }
        let looked = self.look().await?;
        if self.place == Place::Start {
            printer.put(br#"{"messages":["#);
        } else if matches!(looked, Looked::Message(..)) {
            printer.put(b",");
        }
        self.place = Place::Between;
        match looked {
            Looked::Message(seen, recorded) => {
                let head = item::seen(&seen, &recorded);
                let leased = pieces::looked_at(&self.source.context.cores, seen.memory);
                printer.start(Printing::json(&head, recorded.content.body), leased);
                return Ok(true);
            }
            Looked::More => printer.put(format!(r#"],"next":"{}"}}"#, cursor(self.next)).as_bytes()),
            Looked::End => printer.put(b"]}"),
        }
        self.place = Place::End;
        Ok(true)
    }
}

/// `GET /v1/channels/{namespace}/{name}`: one JSON object, what an autoscaler reads.
pub async fn channel(
    State(context): State<Arc<Context>>,
    request: Request,
) -> Result<Json<ChannelStats>, HttpError> {
    body::expect_none(request.body())?;
    Query::parse(request.uri().query(), &[])?;
    // A channel's name is read as addresses are: as it stands in the path, with nothing decoded.
    let name = address_in(&request, path::CHANNELS)?;
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
