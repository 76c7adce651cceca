//! Texts in header values: visible ASCII, and structured-field strings (RFC 9651 section 3.3.3).

use http::HeaderValue;

/// Why a text is not 1 to `characters_max` visible ASCII characters, or `None` if it is.
pub(crate) fn not_visible(text: &str, characters_max: usize) -> Option<String> {
    if text.is_empty() || text.len() > characters_max {
        return Some(format!("has {} bytes, not 1 to {characters_max}", text.len()));
    }
    let bad = text.chars().find(|letter| !letter.is_ascii_graphic())?;
    Some(format!("contains {bad:?}, which is not a visible ASCII character"))
}

/// Quotes a text of visible ASCII characters, and escapes its quotes and backslashes.
pub(crate) fn quoted(text: &str) -> HeaderValue {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("\"{escaped}\""))
        .expect("visible ASCII characters are a valid header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_and_escaped() {
        assert_eq!(quoted("order-7"), "\"order-7\"");
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn invalid_texts_are_detected() {
        for bad in ["", "a b", "a\n", "ö", &"k".repeat(256)] {
            assert!(not_visible(bad, 255).is_some(), "{bad}");
        }
        assert_eq!(not_visible(&"k".repeat(255), 255), None);
    }
}
