//! Peeking at the dead letters of a channel, in the channel itself and in its dead-letter channel.

use std::sync::Arc;

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use restante_wire::{ProblemType, batch::BATCH_ITEMS_MAX};

use super::{
    MESSAGES,
    answer::{self, PeekRequest},
};
use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    http::{Caller, HttpError, query::Query},
    service::{
        Service,
        peek::{Filter, Span},
    },
};

/// The first byte of a cursor of this layout. The index of the span and the sequence to continue at follow.
const CURSOR_VERSION: u8 = 2;

/// Where a peek continues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cursor {
    place: u8,
    sequence: Sequence,
}

/// `GET /v1/peek/{address}?state=dead-letters`: the dead messages of the channel, its dead letters in its dead-letter
/// channel, and the dead letters of other channels that are stored in it.
pub(super) async fn peek(
    service: &Arc<Service>,
    caller: &Caller,
    channel: &Arc<ChannelEntry>,
    query: &Query<'_>,
) -> Result<Response, HttpError> {
    let max = query.number("max", 1, BATCH_ITEMS_MAX as u32)?.unwrap_or(MESSAGES) as usize;
    let Cursor { place, sequence } = query.word("after").map_or(Ok(Cursor::default()), Cursor::read)?;
    let name = channel.config.qualified_name();
    let span = |entry: &Arc<ChannelEntry>, state, filter: &Filter| Span {
        entry: entry.clone(),
        state,
        filter: filter.clone(),
    };
    let waiting = [State::Ready, State::Leased, State::Delayed];
    // The place in a cursor is an index into this list.
    let mut spans = vec![span(channel, State::Dead, &Filter::AllAs(name.clone()))];
    spans.extend(waiting.map(|state| span(channel, state, &Filter::DeadLetters)));
    if let Some(theirs) = dead_letter_channel(service, channel) {
        let of_this = Filter::DeadLettersOf(name);
        spans.extend(waiting.map(|state| span(&theirs, state, &of_this)));
        spans.push(span(&theirs, State::Dead, &of_this));
    }
    let cursor = |place, sequence| Cursor { place: place as u8, sequence }.print();
    answer::to(service, caller, PeekRequest { spans, from: (place.into(), sequence), max, cursor }).await
}

fn dead_letter_channel(service: &Service, channel: &ChannelEntry) -> Option<Arc<ChannelEntry>> {
    let name = channel.config.dead_letter.channel.as_deref()?;
    service.store.by_name(&channel.config.namespace, name).filter(|to| to.id != channel.id)
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
                "the parameter after={text} is invalid; give the field next of an earlier answer for the same state, \
                 unchanged"
            );
            HttpError::new(ProblemType::ParameterMalformed, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_parsing_and_any_other_text_is_rejected() {
        let cursor = Cursor { place: 3, sequence: 77 };
        assert_eq!(Cursor::read(&cursor.print()).unwrap(), cursor);
        for bad in ["", "7", "AAAA", "nonsense", &format!("{}A", cursor.print())] {
            assert_eq!(Cursor::read(bad).unwrap_err().kind(), ProblemType::ParameterMalformed, "{bad}");
        }
    }
}
