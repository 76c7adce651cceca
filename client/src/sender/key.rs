//! The idempotency key as a header: a structured-field string (RFC 9651 section 3.3.3).

use http::HeaderValue;

/// The longest key, in bytes, as the HTTP contract says.
const KEY_BYTES_MAX: usize = 255;

/// Why a text is no idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency key must be 1 to {KEY_BYTES_MAX} visible ASCII characters, and this one {0}")]
pub struct KeyError(String);

/// The header's value: the key in quotes, its quotes and backslashes escaped.
pub(crate) fn quoted(key: &str) -> Result<HeaderValue, KeyError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(KeyError(format!("has {} bytes", key.len())));
    }
    if let Some(bad) = key.chars().find(|letter| !letter.is_ascii_graphic()) {
        return Err(KeyError(format!("holds {bad:?}")));
    }
    let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("\"{escaped}\"")).map_err(|error| KeyError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_quoted_and_escaped() {
        assert_eq!(quoted("order-7").unwrap(), "\"order-7\"");
        assert_eq!(quoted(r#"a"b\c"#).unwrap(), r#""a\"b\\c""#);
    }

    #[test]
    fn a_key_that_the_broker_would_refuse_is_refused_here() {
        for bad in ["", "a b", "a\n", "ö", &"k".repeat(256)] {
            assert!(quoted(bad).is_err(), "{bad}");
        }
        assert!(quoted(&"k".repeat(255)).is_ok());
    }
}
