//! Parsing the request headers of the contract.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use restante_wire::{ProblemType, header};

use super::{HttpError, query};

// Parsed names: parsing a name takes longer than looking it up.
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(header::IDEMPOTENCY_KEY);
static RECEIVE_ATTEMPT_ID: HeaderName = HeaderName::from_static(header::RECEIVE_ATTEMPT_ID);
static MESSAGE_GROUP: HeaderName = HeaderName::from_static(header::MESSAGE_GROUP);
static MESSAGE_DELAY: HeaderName = HeaderName::from_static(header::MESSAGE_DELAY);
static MESSAGE_TTL: HeaderName = HeaderName::from_static(header::MESSAGE_TTL);
static ACKNOWLEDGE: HeaderName = HeaderName::from_static(header::ACKNOWLEDGE);
static RESTANTE_SETTLE: HeaderName = HeaderName::from_static(header::RESTANTE_SETTLE);
static PREFER: HeaderName = HeaderName::from_static(header::PREFER);
static KEPT_ONCE: [HeaderName; 3] = [
    HeaderName::from_static(header::KEPT_ONCE[0]),
    HeaderName::from_static(header::KEPT_ONCE[1]),
    HeaderName::from_static(header::KEPT_ONCE[2]),
];

/// The `Idempotency-Key`: see [`string`].
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    string(headers, &IDEMPOTENCY_KEY, "Idempotency-Key", header::KEY_CHARACTERS_MAX)
}

/// The `Receive-Attempt-Id`: see [`string`].
pub fn receive_attempt_id(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    string(headers, &RECEIVE_ATTEMPT_ID, "Receive-Attempt-Id", header::KEY_CHARACTERS_MAX)
}

/// The `Message-Group`: see [`string`].
pub fn message_group(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    string(headers, &MESSAGE_GROUP, "Message-Group", header::GROUP_CHARACTERS_MAX)
}

/// The `Message-Delay`, in whole seconds.
pub fn message_delay(headers: &HeaderMap) -> Result<Option<u32>, HttpError> {
    whole_seconds(headers, &MESSAGE_DELAY, "Message-Delay")
}

/// The `Message-TTL`, in whole seconds.
pub fn message_ttl(headers: &HeaderMap) -> Result<Option<u32>, HttpError> {
    whole_seconds(headers, &MESSAGE_TTL, "Message-TTL")
}

/// Whether `Restante-Settle` is there; its only valid value is `yes`.
pub fn restante_settle(headers: &HeaderMap) -> Result<bool, HttpError> {
    match single(headers, &RESTANTE_SETTLE)? {
        None => Ok(false),
        Some(value) if value == "yes" => Ok(true),
        Some(_) => {
            Err(malformed("Restante-Settle", "is invalid; the only valid line is \"Restante-Settle: yes\""))
        }
    }
}

/// The leases in `Acknowledge`, unchanged: tokens, or values of `Location`, which may be resolved to absolute URLs.
pub fn acknowledge(headers: &HeaderMap) -> Result<Vec<String>, HttpError> {
    let mut leases = Vec::new();
    for value in headers.get_all(&ACKNOWLEDGE) {
        let value =
            value.to_str().map_err(|_| malformed("Acknowledge", "must be visible ASCII characters"))?;
        leases.extend(value.split(',').map(str::trim).filter(|lease| !lease.is_empty()).map(str::to_owned));
    }
    // An invalid lease is repeated in a header of the answer, so it must be a valid header value.
    if let Some(bad) = leases.iter().find(|lease| !is_visible(lease, LEASE_CHARACTERS_MAX)) {
        let reason = format!("names an invalid lease: {bad:?}; give the token, or the value of Location");
        return Err(malformed("Acknowledge", &reason));
    }
    if leases.is_empty() && headers.contains_key(&ACKNOWLEDGE) {
        return Err(malformed("Acknowledge", "names no lease; leave it out"));
    }
    if leases.len() > header::ACKNOWLEDGED_LEASES_MAX {
        let reason = format!(
            "names {} leases and exceeds the limit of {}; settle the others by POST {}",
            leases.len(),
            header::ACKNOWLEDGED_LEASES_MAX,
            restante_wire::path::SETTLEMENTS
        );
        return Err(malformed("Acknowledge", &reason));
    }
    Ok(leases)
}

/// The maximum length of a lease: a token of at most 256 characters after the URL of a proxy.
const LEASE_CHARACTERS_MAX: usize = 1024;

/// Whether a text is 1 to `max` visible ASCII characters, without spaces.
pub fn is_visible(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is a valid reason of a rejection: printable ASCII, because a header returns it.
pub fn is_reason(text: &str) -> bool {
    (1..=header::KEY_CHARACTERS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The media type of the body, without its parameters. Compare it case-insensitively (RFC 9110 section 8.3.1).
pub fn content_type(headers: &HeaderMap) -> Result<Option<&str>, HttpError> {
    let value = single(headers, &CONTENT_TYPE)?.and_then(|value| value.to_str().ok());
    Ok(value.and_then(|value| value.split(';').next()).map(str::trim))
}

/// Refuses repeated kept headers that a message may have only once: of two values, receivers would read one.
pub fn expect_kept_once(headers: &HeaderMap) -> Result<(), HttpError> {
    KEPT_ONCE.iter().try_for_each(|name| single(headers, name).map(drop))
}

/// Whether `Accept` names exactly this media type (RFC 9110 section 12.5.1). Ranges such as `*/*` do not count: they
/// get the default, which is JSON.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|accepted| {
        accepted.split(';').next().is_some_and(|accepted| accepted.trim().eq_ignore_ascii_case(media_type))
    })
}

/// Whether a pull asks for Server-Sent Events.
pub fn wants_events(headers: &HeaderMap) -> bool {
    accepts(headers, "text/event-stream")
}

/// Parses a structured-field string (RFC 9651 section 3.3.3), or a value without quotes, of 1 to `max` visible ASCII
/// characters.
fn string(
    headers: &HeaderMap,
    name: &HeaderName,
    called: &str,
    max: usize,
) -> Result<Option<String>, HttpError> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let malformed = |reason: &str| malformed(called, reason);
    let text = value.to_str().map_err(|_| malformed("must be visible ASCII characters"))?.trim();
    let string = if text.starts_with('"') {
        let item = sfv::Parser::new(text)
            .parse::<sfv::Item>()
            .map_err(|error| malformed(&format!("is not a valid structured-field string: {error}")))?;
        match item.bare_item {
            sfv::BareItem::String(string) => string.as_str().to_owned(),
            _ => return Err(malformed("must be a structured-field string")),
        }
    } else {
        text.to_owned()
    };
    if !is_visible(&string, max) {
        return Err(malformed(&format!("must be 1 to {max} visible ASCII characters, without spaces")));
    }
    Ok(Some(string))
}

fn whole_seconds(headers: &HeaderMap, name: &HeaderName, called: &str) -> Result<Option<u32>, HttpError> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| query::seconds(text.trim()));
    seconds.map(Some).ok_or_else(|| malformed(called, "must be whole seconds"))
}

fn malformed(called: &str, reason: &str) -> HttpError {
    HttpError::new(ProblemType::HeaderMalformed, format!("the header {called} {reason}"))
}

/// The `wait` preference of `Prefer` (RFC 7240 section 4.3), in whole seconds. Other preferences are ignored, as the
/// RFC requires.
pub fn prefer_wait(headers: &HeaderMap) -> Result<Option<u32>, HttpError> {
    let mut found = None;
    for value in headers.get_all(&PREFER) {
        let Ok(value) = value.to_str() else { continue };
        for preference in value.split(',') {
            // Parameters of a preference follow a semicolon; they are ignored.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, wanted) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("wait") {
                let wanted = wanted.trim().trim_matches('"');
                let seconds = query::seconds(wanted).ok_or_else(|| {
                    malformed("Prefer", &format!("has an invalid wait={wanted}; give whole seconds"))
                })?;
                if found.replace(seconds).is_some() {
                    return Err(malformed("Prefer", "gives wait more than once; give it once"));
                }
            }
        }
    }
    Ok(found)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, HttpError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(malformed(name.as_str(), "is given more than once; give it once"));
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
    fn acknowledge_accepts_64_leases_in_any_number_of_headers() {
        let leases = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACKNOWLEDGE, HeaderValue::from_str(value).unwrap());
            }
            acknowledge(&headers).map_err(|error| error.kind())
        };
        assert_eq!(leases(&["a, /v1/leases/b,", "c"]).unwrap(), ["a", "/v1/leases/b", "c"]);
        assert_eq!(leases(&["a b"]), Err(ProblemType::HeaderMalformed));
        for empty in ["", ", ,"] {
            assert_eq!(leases(&[empty]), Err(ProblemType::HeaderMalformed));
        }
        assert_eq!(leases(&[]).unwrap(), Vec::<String>::new());
        let url = format!("https://example.com/{}/v1/leases/a", "p".repeat(500));
        assert_eq!(leases(&[&url]).unwrap(), [url.as_str()]);
        assert_eq!(leases(&[&"a,".repeat(65)]), Err(ProblemType::HeaderMalformed));
        assert!(leases(&[&"a,".repeat(64)]).is_ok());
    }

    #[test]
    fn an_event_stream_is_sent_only_if_accept_names_its_media_type() {
        let wants = |value: &'static str| {
            wants_events(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]))
        };
        assert!(wants("text/event-stream") && wants("text/html, Text/Event-Stream;q=0.9"));
        assert!(!wants("*/*") && !wants("text/*"));
    }

    #[test]
    fn prefer_wait_is_found_among_other_preferences() {
        assert_eq!(wait("respond-async, Wait=10"), Ok(Some(10)));
        assert_eq!(wait("wait=\"7\"; x=y"), Ok(Some(7)));
        assert_eq!(wait("return=minimal"), Ok(None));
        for bad in ["wait=-1", "wait=soon", "wait", "wait=1, wait=1"] {
            assert_eq!(wait(bad), Err(ProblemType::HeaderMalformed), "{bad}");
        }
    }
}
