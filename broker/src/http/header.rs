//! Request headers with a meaning to the broker.

use http::{HeaderMap, HeaderValue};
use restante_wire::{ProblemType, header};

use super::{HttpError, query};

/// The longest idempotency key, in characters.
const KEY_CHARACTERS_MAX: usize = 255;

/// The `Idempotency-Key`: a structured-field string (RFC 9651 section 3.3.3); without quotes it is taken as it is. 1 to
/// 255 visible ASCII characters.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let Some(value) = single(headers, header::IDEMPOTENCY_KEY)? else { return Ok(None) };
    let malformed = |reason: &str| {
        HttpError::new(ProblemType::HeaderMalformed, format!("the header Idempotency-Key {reason}"))
    };
    let text = value.to_str().map_err(|_| malformed("must be visible ASCII characters"))?.trim();
    let key = if text.starts_with('"') {
        let item = sfv::Parser::new(text)
            .parse::<sfv::Item>()
            .map_err(|error| malformed(&format!("is no structured-field string: {error}")))?;
        match item.bare_item {
            sfv::BareItem::String(key) => key.as_str().to_owned(),
            _ => return Err(malformed("must be a string")),
        }
    } else {
        text.to_owned()
    };
    if key.is_empty() || key.len() > KEY_CHARACTERS_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("must be 1 to 255 visible ASCII characters, without spaces"));
    }
    Ok(Some(key))
}

/// The `wait` preference of `Prefer` (RFC 7240 section 4.3), in whole seconds. Other preferences are ignored, as the RFC
/// asks.
pub fn prefer_wait(headers: &HeaderMap) -> Result<Option<u32>, HttpError> {
    for value in headers.get_all(header::PREFER) {
        let Ok(value) = value.to_str() else { continue };
        for preference in value.split(',') {
            // Parameters of a preference follow a semicolon; `wait` has none.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, wanted) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("wait") {
                let wanted = wanted.trim().trim_matches('"');
                return query::seconds(wanted).map(Some).ok_or_else(|| {
                    HttpError::new(
                        ProblemType::HeaderMalformed,
                        format!("the header Prefer says wait={wanted}, which must be whole seconds"),
                    )
                });
            }
        }
    }
    Ok(None)
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, HttpError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        let detail = format!("the header {name} is said twice: say it once");
        return Err(HttpError::new(ProblemType::HeaderMalformed, detail));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> Result<Option<String>, ProblemType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IDEMPOTENCY_KEY, HeaderValue::from_str(value).unwrap());
        idempotency_key(&headers).map_err(|error| error.kind())
    }

    fn wait(value: &str) -> Result<Option<u32>, ProblemType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::PREFER, HeaderValue::from_str(value).unwrap());
        prefer_wait(&headers).map_err(|error| error.kind())
    }

    #[test]
    fn a_key_with_and_without_quotes_is_the_same_key() {
        assert_eq!(key("\"8e03978e\""), Ok(Some("8e03978e".into())));
        assert_eq!(key("8e03978e"), Ok(Some("8e03978e".into())));
        assert_eq!(key(r#""a\"b""#), Ok(Some("a\"b".into())));
    }

    #[test]
    fn a_malformed_key_is_refused() {
        let long = "k".repeat(256);
        for bad in ["\"\"", "\"open", "a b", long.as_str(), ""] {
            assert_eq!(key(bad), Err(ProblemType::HeaderMalformed), "{bad}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        twice.append(header::IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(idempotency_key(&twice).is_err());
    }

    #[test]
    fn the_wait_is_found_among_other_preferences() {
        assert_eq!(wait("respond-async, Wait=10"), Ok(Some(10)));
        assert_eq!(wait("wait=\"7\"; x=y"), Ok(Some(7)));
        assert_eq!(wait("return=minimal"), Ok(None));
        for bad in ["wait=-1", "wait=soon", "wait"] {
            assert_eq!(wait(bad), Err(ProblemType::HeaderMalformed), "{bad}");
        }
    }
}
