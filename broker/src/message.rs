//! The kept headers of a message: what is taken from a push, how it lies in the log, and how it is handed back.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use restante_wire::{
    DeadLetterCause,
    header::{
        KEPT_HEADERS_BYTES_MAX, KEPT_HEADERS_MAX, MESSAGE_DEAD_LETTER_CAUSE, MESSAGE_DEAD_LETTER_CHANNEL,
        MESSAGE_DEAD_LETTER_REASON, MESSAGE_DEAD_LETTER_SINCE,
    },
};

use crate::{
    clock::{Millis, rfc3339},
    core::Content,
};

/// More headers than a message may keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the headers that are kept with the message are {count} with {bytes} bytes, and at most {KEPT_HEADERS_MAX} with \
     {KEPT_HEADERS_BYTES_MAX} bytes are: send what is larger in the content"
)]
pub struct HeadersTooLarge {
    /// How many there are.
    pub count: usize,
    /// Bytes of their names and values.
    pub bytes: usize,
}

/// Bytes of the lengths before each header.
const LENGTHS_BYTES: usize = 4;

/// The headers of a push that are kept, encoded: for each, the lengths of name and value (u16 each, little-endian),
/// then both.
pub fn encode_kept(headers: &HeaderMap, is_kept: impl Fn(&str) -> bool) -> Result<Bytes, HeadersTooLarge> {
    let kept = || headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    let (count, bytes) = kept()
        .fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.as_str().len() + value.len()));
    if count > KEPT_HEADERS_MAX || bytes > KEPT_HEADERS_BYTES_MAX {
        return Err(HeadersTooLarge { count, bytes });
    }
    Ok(encode(kept(), bytes + count * LENGTHS_BYTES))
}

/// Encodes headers, which take so many bytes or a few more or less.
fn encode<'a>(headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>, bytes: usize) -> Bytes {
    let mut encoded = BytesMut::with_capacity(bytes);
    for (name, value) in headers {
        encoded.put_u16_le(name.as_str().len() as u16);
        encoded.put_u16_le(value.len() as u16);
        encoded.put_slice(name.as_str().as_bytes());
        encoded.put_slice(value.as_bytes());
    }
    encoded.freeze()
}

/// Hands the kept headers back.
pub fn decode_kept(encoded: &Bytes, headers: &mut HeaderMap) {
    let mut rest = &encoded[..];
    while let Some((lengths, after)) = rest.split_first_chunk::<LENGTHS_BYTES>() {
        let name_bytes = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value_bytes = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
        let Some((name, after)) = after.split_at_checked(name_bytes) else { return };
        let Some((value, after)) = after.split_at_checked(value_bytes) else { return };
        // They were headers when they were encoded, so they are headers now.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
        rest = after;
    }
}

/// Why a message was given up, and by which channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetterNote<'a> {
    /// Why.
    pub cause: DeadLetterCause,
    /// The channel, `namespace/name`.
    pub channel: &'a str,
    /// What the receiver said that rejected it.
    pub reason: Option<&'a str>,
    /// Since when, by the wall clock.
    pub since: Millis,
}

/// What such a note says when it is read again. Nobody but the broker writes one: no channel keeps these names of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Why the message was given up.
    pub cause: DeadLetterCause,
    /// By which channel, `namespace/name`.
    pub channel: String,
    /// What the receiver said that rejected it.
    pub reason: Option<String>,
    /// Since when, RFC 3339. Absent from a note that an earlier version wrote.
    pub since: Option<String>,
}

impl Origin {
    /// The note among encoded headers; none where the message is no other channel's dead letter.
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

/// A content that goes to another channel, with a note of why, or without: one that it had is taken off.
pub fn with_note(content: Content, note: Option<DeadLetterNote<'_>>) -> Content {
    let mut headers = HeaderMap::new();
    decode_kept(&content.headers, &mut headers);
    for name in NOTE {
        headers.remove(name);
    }
    if let Some(DeadLetterNote { cause, channel, reason, since }) = note {
        let mut insert = |name, value: &str| {
            // What is no header value cannot be told in one.
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

    #[test]
    fn kept_headers_come_back_in_order_and_others_do_not() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("meta-colour", "red"),
            ("meta-colour", "blue"),
            ("ce-id", "1"),
            ("host", "example.com"),
            ("idempotency-key", "k"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut back = HeaderMap::new();
        decode_kept(&encode_kept(&headers, is_kept).unwrap(), &mut back);
        assert_eq!(back["content-type"], "text/plain; charset=utf-8");
        assert_eq!(back.get_all("meta-colour").iter().collect::<Vec<_>>(), ["red", "blue"]);
        assert_eq!(back.len(), 4);
    }

    #[test]
    fn a_note_says_why_a_message_was_given_up_and_is_taken_off_when_it_gets_another_chance() {
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

    #[test]
    fn more_headers_than_a_proxy_lets_through_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("meta-large", HeaderValue::from_str(&"v".repeat(KEPT_HEADERS_BYTES_MAX)).unwrap());
        assert!(encode_kept(&headers, is_kept).is_err());
        let mut headers = HeaderMap::new();
        (0..=KEPT_HEADERS_MAX).for_each(|_| {
            headers.append("meta-a", HeaderValue::from_static("v"));
        });
        assert_eq!(encode_kept(&headers, is_kept), Err(HeadersTooLarge { count: 65, bytes: 65 * 7 }));
    }
}
