//! The kept headers of a message: what is taken from a push, how it lies in the log, and how it is handed back.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use restante_wire::header::{KEPT_HEADERS_BYTES_MAX, KEPT_HEADERS_MAX, is_kept};

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

/// The headers of a push that are kept, encoded: for each, the lengths of name and value (u16 each, little-endian),
/// then both.
pub fn encode_kept(headers: &HeaderMap) -> Result<Bytes, HeadersTooLarge> {
    let kept = || headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    let (count, bytes) = kept()
        .fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.as_str().len() + value.len()));
    if count > KEPT_HEADERS_MAX || bytes > KEPT_HEADERS_BYTES_MAX {
        return Err(HeadersTooLarge { count, bytes });
    }
    let mut encoded = BytesMut::with_capacity(bytes + 4 * count);
    for (name, value) in kept() {
        encoded.put_u16_le(name.as_str().len() as u16);
        encoded.put_u16_le(value.len() as u16);
        encoded.put_slice(name.as_str().as_bytes());
        encoded.put_slice(value.as_bytes());
    }
    Ok(encoded.freeze())
}

/// Hands the kept headers back.
pub fn decode_kept(encoded: &Bytes, headers: &mut HeaderMap) {
    let mut rest = &encoded[..];
    while let Some((lengths, after)) = rest.split_first_chunk::<4>() {
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

#[cfg(test)]
mod tests {
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
        decode_kept(&encode_kept(&headers).unwrap(), &mut back);
        assert_eq!(back["content-type"], "text/plain; charset=utf-8");
        assert_eq!(back.get_all("meta-colour").iter().collect::<Vec<_>>(), ["red", "blue"]);
        assert_eq!(back.len(), 4);
    }

    #[test]
    fn more_headers_than_a_proxy_lets_through_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("meta-large", HeaderValue::from_str(&"v".repeat(KEPT_HEADERS_BYTES_MAX)).unwrap());
        assert!(encode_kept(&headers).is_err());
        let mut headers = HeaderMap::new();
        (0..=KEPT_HEADERS_MAX).for_each(|_| {
            headers.append("meta-a", HeaderValue::from_static("v"));
        });
        assert_eq!(encode_kept(&headers), Err(HeadersTooLarge { count: 65, bytes: 65 * 7 }));
    }
}
