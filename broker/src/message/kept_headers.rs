//! The kept headers of a message: selected from a push, encoded in the log, decoded for a delivery.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use restante_wire::header::{KEPT_HEADERS_BYTES_MAX, KEPT_HEADERS_MAX};

/// The headers to keep exceed the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kept headers exceed a limit: {count} headers with {bytes} bytes, of at most {KEPT_HEADERS_MAX} headers with \
     {KEPT_HEADERS_BYTES_MAX} bytes; put large values into the body"
)]
pub struct HeadersTooLarge {
    /// Number of headers to keep.
    pub count: usize,
    /// Bytes of their names and values.
    pub bytes: usize,
}

/// Bytes of the two lengths before each header.
const LENGTHS_BYTES: usize = 4;

/// Encodes the headers of a push that are kept. Each is the lengths of name and value (u16 each, little-endian), then
/// both.
pub fn encode_kept(headers: &HeaderMap, is_kept: impl Fn(&str) -> bool) -> Result<Bytes, HeadersTooLarge> {
    let kept = || headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    let (count, bytes) = kept()
        .fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.as_str().len() + value.len()));
    if count > KEPT_HEADERS_MAX || bytes > KEPT_HEADERS_BYTES_MAX {
        return Err(HeadersTooLarge { count, bytes });
    }
    Ok(encode(kept(), bytes + count * LENGTHS_BYTES))
}

/// Encodes headers of about this many bytes.
pub(super) fn encode<'a>(
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    bytes: usize,
) -> Bytes {
    let mut encoded = BytesMut::with_capacity(bytes);
    for (name, value) in headers {
        encoded.put_u16_le(name.as_str().len() as u16);
        encoded.put_u16_le(value.len() as u16);
        encoded.put_slice(name.as_str().as_bytes());
        encoded.put_slice(value.as_bytes());
    }
    encoded.freeze()
}

/// Decodes kept headers and appends them.
pub fn decode_kept(encoded: &Bytes, headers: &mut HeaderMap) {
    let mut rest = &encoded[..];
    while let Some((lengths, after)) = rest.split_first_chunk::<LENGTHS_BYTES>() {
        let name_bytes = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value_bytes = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
        let Some((name, after)) = after.split_at_checked(name_bytes) else { return };
        let Some((value, after)) = after.split_at_checked(value_bytes) else { return };
        // They were valid headers when they were encoded.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
        rest = after;
    }
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
    fn headers_beyond_the_limit_are_refused() {
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
