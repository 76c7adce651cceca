//! Texts as headers carry them: visible ASCII, and structured-field strings (RFC 9651 section 3.3.3).

use http::HeaderValue;

/// What is wrong with a text that must be 1 to so many visible ASCII characters, if anything is.
pub(crate) fn not_visible(text: &str, characters_max: usize) -> Option<String> {
    if text.is_empty() || text.len() > characters_max {
        return Some(format!("has {} bytes, not 1 to {characters_max}", text.len()));
    }
    let bad = text.chars().find(|letter| !letter.is_ascii_graphic())?;
    Some(format!("holds {bad:?}, which is no visible ASCII character"))
}

/// A text of visible ASCII characters in quotes, its quotes and backslashes escaped.
pub(crate) fn quoted(text: &str) -> HeaderValue {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("\"{escaped}\"")).expect("visible ASCII characters make a header's value")
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
    fn a_text_that_the_broker_would_refuse_is_told_apart() {
        for bad in ["", "a b", "a\n", "ö", &"k".repeat(256)] {
            assert!(not_visible(bad, 255).is_some(), "{bad}");
        }
        assert_eq!(not_visible(&"k".repeat(255), 255), None);
    }
}
