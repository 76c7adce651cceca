//! Looking at the dead letters of a channel, wherever they lie.

use std::sync::Arc;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, header::CACHE_CONTROL};
use restante_wire::{
    ProblemType,
    batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, PeekedBatch},
};

use super::{Context, item, look::MESSAGES, refusal};
use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    http::{HttpError, query::Query},
    message::Origin,
};

/// Messages that one answer looks at: those of a channel that are no dead letters have to be read to know that.
const LOOKED_AT_MAX: usize = 10_000;
/// Messages that a core looks at in one turn.
const TURN: usize = 100;
/// The first byte of a cursor of this layout; the place, and the sequence to go on at there, follow.
const CURSOR_VERSION: u8 = 2;

/// Where letters lie, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// In the channel itself, which gave them up.
    Dead,
    /// In the channel itself, which takes those of others.
    OfOthers(State),
    /// In the channel that takes this one's.
    InTheirChannel(State),
}

const PLACES: [Lie; 8] = [
    Lie::Dead,
    Lie::OfOthers(State::Ready),
    Lie::OfOthers(State::Leased),
    Lie::OfOthers(State::Delayed),
    Lie::InTheirChannel(State::Ready),
    Lie::InTheirChannel(State::Leased),
    Lie::InTheirChannel(State::Delayed),
    Lie::InTheirChannel(State::Dead),
];

/// Where a look goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cursor {
    place: u8,
    sequence: Sequence,
}

/// `GET /v1/peek/{address}?state=dead-letters`: what is dead in the channel, what lies in its dead-letter channel, and the
/// letters of others that lie in it.
pub(super) async fn peek(
    context: &Context,
    channel: &Arc<ChannelEntry>,
    query: &Query<'_>,
) -> Result<Response, HttpError> {
    let max = query.number("max", 1, BATCH_ITEMS_MAX as u32)?.unwrap_or(MESSAGES) as usize;
    let mut at = query.word("after").map_or(Ok(Cursor::default()), Cursor::read)?;
    let (mut messages, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    let name = channel.config.qualified_name();
    let next = loop {
        let Some(lie) = PLACES.get(usize::from(at.place)).copied() else { break None };
        if messages.len() >= max || bytes >= BATCH_BYTES_MAX || looked_at >= LOOKED_AT_MAX {
            break Some(at.print());
        }
        let next_place = Cursor { place: at.place + 1, sequence: 0 };
        let (state, holder) = match lie {
            Lie::Dead => (State::Dead, Some(channel.clone())),
            Lie::OfOthers(state) => (state, Some(channel.clone())),
            Lie::InTheirChannel(state) => (state, dead_letter_channel(context, channel)),
        };
        let Some(holder) = holder else {
            at = next_place;
            continue;
        };
        let (first, turn, room) = (at.sequence, TURN.min(max - messages.len()), BATCH_BYTES_MAX - bytes);
        let peeked = context
            .cores
            .ask(holder.number, &holder, move |core, holder| core.peek(holder, state, first, turn, room));
        let (mut seen, more) = peeked.await?.map_err(|_| refusal::store_failed())?;
        looked_at += seen.len();
        at = match seen.last().filter(|_| more) {
            Some(last) => Cursor { sequence: last.sequence + 1, ..at },
            None => next_place,
        };
        for seen in &mut seen {
            let content = context.cores.content(holder.number, &mut seen.content).await;
            let content = content.map_err(|_| refusal::store_failed())?;
            let given_up_by = match lie {
                Lie::Dead => Some(name.clone()),
                Lie::OfOthers(_) => Origin::of(&content.content.headers).map(|origin| origin.channel),
                Lie::InTheirChannel(_) => Origin::of(&content.content.headers)
                    .map(|origin| origin.channel)
                    .filter(|channel| *channel == name),
            };
            let Some(given_up_by) = given_up_by else { continue };
            let mut item = item::seen(seen, &content);
            if let Some(note) = &mut item.head.dead_letter {
                note.channel = Some(given_up_by);
                note.held_in = Some(holder.config.qualified_name());
            }
            bytes += u64::from(seen.message.stored.bytes);
            messages.push(item);
        }
    };
    let peeked = PeekedBatch { messages, next };
    Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(peeked)).into_response())
}

fn dead_letter_channel(context: &Context, channel: &ChannelEntry) -> Option<Arc<ChannelEntry>> {
    let name = channel.config.dead_letter.channel.as_deref()?;
    context.store.by_name(&channel.config.namespace, name).filter(|to| to.number != channel.number)
}

impl Cursor {
    fn print(self) -> String {
        let mut bytes = vec![CURSOR_VERSION, self.place];
        bytes.extend(self.sequence.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Result<Self, HttpError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = bytes.and_then(|bytes| match bytes.split_first_chunk()? {
            (&[CURSOR_VERSION, place], sequence) => {
                Some(Self { place, sequence: Sequence::from_be_bytes(sequence.try_into().ok()?) })
            }
            _ => None,
        });
        cursor.ok_or_else(|| {
            let detail = format!(
                "the parameter after={text} must be the field next of an answer before to the same state, as it is"
            );
            HttpError::new(ProblemType::ParameterMalformed, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written_and_nothing_else_is_one() {
        let cursor = Cursor { place: 3, sequence: 77 };
        assert_eq!(Cursor::read(&cursor.print()).unwrap(), cursor);
        for bad in ["", "7", "AAAA", "nonsense", &format!("{}A", cursor.print())] {
            assert_eq!(Cursor::read(bad).unwrap_err().kind(), ProblemType::ParameterMalformed, "{bad}");
        }
    }
}
