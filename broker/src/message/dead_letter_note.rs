//! The note on a dead letter that is in another channel: why it became one, and where. Kept headers hold it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use restante_wire::{
    DeadLetterCause,
    header::{
        MESSAGE_DEAD_LETTER_CAUSE, MESSAGE_DEAD_LETTER_CHANNEL, MESSAGE_DEAD_LETTER_REASON,
        MESSAGE_DEAD_LETTER_SINCE,
    },
};

use super::{
    Content,
    kept_headers::{decode_kept, encode},
};
use crate::clock::{Millis, rfc3339};

/// The reason for a dead letter, and the channel where the message became one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterNote<'a> {
    pub cause: DeadLetterCause,
    /// The channel, `namespace/name`.
    pub channel: &'a str,
    /// The reason that the receiver gave for its reject.
    pub reason: Option<&'a str>,
    /// The wall clock time of that moment.
    pub since: Millis,
}

/// A dead-letter note that was read back. Only the broker writes one: no channel keeps headers of these names from a
/// sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub cause: DeadLetterCause,
    /// The channel, `namespace/name`.
    pub channel: String,
    /// The reason that the receiver gave for its reject.
    pub reason: Option<String>,
    /// The time, RFC 3339; absent in a note of an earlier version.
    pub since: Option<String>,
}

impl Origin {
    /// Reads the note in encoded headers; none unless the message is a dead letter of another channel.
    pub fn of(encoded: &Bytes) -> Option<Self> {
        let mut headers = HeaderMap::new();
        decode_kept(encoded, &mut headers);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Some(Self {
            cause: DeadLetterCause::from_name(&text(MESSAGE_DEAD_LETTER_CAUSE)?)?,
            channel: text(MESSAGE_DEAD_LETTER_CHANNEL)?,
            reason: text(MESSAGE_DEAD_LETTER_REASON),
            since: text(MESSAGE_DEAD_LETTER_SINCE),
        })
    }
}

/// The headers of a note.
const NOTE: [&str; 4] = [
    MESSAGE_DEAD_LETTER_CAUSE,
    MESSAGE_DEAD_LETTER_CHANNEL,
    MESSAGE_DEAD_LETTER_REASON,
    MESSAGE_DEAD_LETTER_SINCE,
];

/// Replaces or removes the note of a message that moves to another channel.
pub fn with_note(content: Content, note: Option<DeadLetterNote<'_>>) -> Content {
    let mut headers = HeaderMap::new();
    decode_kept(&content.headers, &mut headers);
    for name in NOTE {
        headers.remove(name);
    }
    if let Some(DeadLetterNote { cause, channel, reason, since }) = note {
        let mut insert = |name, value: &str| {
            // A reason that is not a valid header value is left out.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        insert(MESSAGE_DEAD_LETTER_CAUSE, cause.as_str());
        insert(MESSAGE_DEAD_LETTER_CHANNEL, channel);
        insert(MESSAGE_DEAD_LETTER_SINCE, &rfc3339(since));
        reason.into_iter().for_each(|reason| insert(MESSAGE_DEAD_LETTER_REASON, reason));
    }
    Content { headers: encode(headers.iter(), content.headers.len()), body: content.body }
}

#[cfg(test)]
mod tests {
    use restante_wire::header::is_kept;

    use super::*;
    use crate::message::encode_kept;

    #[test]
    fn a_dead_letter_note_is_written_replaced_and_removed() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        let content =
            Content { headers: encode_kept(&headers, is_kept).unwrap(), body: Bytes::from_static(b"body") };
        let note = |cause| DeadLetterNote {
            cause,
            channel: "acme/orders",
            reason: Some("no such part"),
            since: 1_700_000_000_123,
        };
        let once = with_note(content.clone(), Some(note(DeadLetterCause::Expired)));
        let twice = with_note(once, Some(note(DeadLetterCause::Rejected)));
        let mut back = HeaderMap::new();
        decode_kept(&twice.headers, &mut back);
        assert_eq!(back.len(), 5);
        assert_eq!(back[MESSAGE_DEAD_LETTER_CAUSE], "rejected");
        assert_eq!(back[MESSAGE_DEAD_LETTER_CHANNEL], "acme/orders");
        assert_eq!(back[MESSAGE_DEAD_LETTER_REASON], "no such part");
        let origin = Origin {
            cause: DeadLetterCause::Rejected,
            channel: "acme/orders".into(),
            reason: Some("no such part".into()),
            since: Some("2023-11-14T22:13:20.123Z".into()),
        };
        assert_eq!(Origin::of(&twice.headers), Some(origin));
        assert_eq!(Origin::of(&content.headers), None);
        assert_eq!(with_note(twice, None), content);
    }
}
