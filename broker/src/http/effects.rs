//! Rejects headers of the contract on requests where they have no effect, because their sender relies on them.

use http::{HeaderMap, header::CONTENT_ENCODING};
use restante_wire::{
    ProblemType,
    header::{
        ACKNOWLEDGE, ANSWERED, IDEMPOTENCY_KEY, MESSAGE_DELAY, MESSAGE_GROUP, MESSAGE_TTL,
        RECEIVE_ATTEMPT_ID, RESTANTE_SETTLE,
    },
    near::did_you_mean,
};

use super::HttpError;

/// Request headers of the contract: the name, how to write it, and what to do where the header has no effect.
const EFFECTIVE_WHERE: [(&str, &str, &str); 7] = [
    (
        IDEMPOTENCY_KEY,
        "Idempotency-Key",
        "in a batch use idempotencyKey of each item, for a pull Receive-Attempt-Id",
    ),
    (MESSAGE_GROUP, "Message-Group", "send it with a push, or as group of an item"),
    (MESSAGE_DELAY, "Message-Delay", "send it with a push, or as delaySeconds of an item"),
    (MESSAGE_TTL, "Message-TTL", "send it with a push, or as ttlSeconds of an item"),
    (
        ACKNOWLEDGE,
        "Acknowledge",
        "send it with a pull that is not a stream, or settle by POST /v1/settlements",
    ),
    (RECEIVE_ATTEMPT_ID, "Receive-Attempt-Id", "send it with a pull that is not a stream"),
    (RESTANTE_SETTLE, "Restante-Settle", "send it with ack=auto of a pull that is not a stream"),
];
/// The beginnings of the contract's own headers: an unknown name that begins like this is misspelt, or newer than this
/// broker.
const OWN_PREFIXES: [&str; 7] =
    ["message-", "idempotency-", "acknowledge", "receive-attempt", "restante-", "lease-", "preference-"];

/// Rejects headers of the contract that have no effect on the request: all but those in `effective`.
pub fn expect_effects(headers: &HeaderMap, effective: &[&str]) -> Result<(), HttpError> {
    for name in headers.keys() {
        let name = name.as_str();
        if !OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || effective.contains(&name) {
            continue;
        }
        if let Some((_, called, instead)) = EFFECTIVE_WHERE.iter().find(|(known, ..)| *known == name) {
            return Err(malformed(format!("the header {called} has no effect on this request; {instead}")));
        }
        // A client may forward a message with all headers of its answer.
        if !ANSWERED.contains(&name) {
            let hint = did_you_mean(name, EFFECTIVE_WHERE.iter().map(|(_, called, _)| *called));
            return Err(malformed(format!(
                "the header {name:?} is unknown{hint}; leave it out, or begin its name with Meta-"
            )));
        }
    }
    Ok(())
}

/// Rejects kept headers on a batch, whose items have their own.
pub fn expect_none_kept(headers: &HeaderMap) -> Result<(), HttpError> {
    match headers.keys().find(|name| name.as_str().starts_with("meta-") || name.as_str().starts_with("ce-")) {
        None => Ok(()),
        Some(name) => Err(malformed(format!(
            "the header {:?} has no effect on a batch; put it into the field headers of each item",
            name.as_str()
        ))),
    }
}

/// Refuses a body whose `Content-Encoding` names a compression. `what` names the kind of body, such as "batches".
pub fn expect_no_coding(headers: &HeaderMap, what: &str) -> Result<(), HttpError> {
    for value in headers.get_all(CONTENT_ENCODING) {
        let codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let mut codings =
            codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        if let Some(coding) = codings.next() {
            return Err(compressed(&String::from_utf8_lossy(coding), what));
        }
    }
    Ok(())
}

/// Rejects a gzip body (RFC 1952 section 2.3.1) that does not announce it: the JSON parser would only report malformed
/// JSON.
pub fn expect_not_gzip(body: &[u8], what: &str) -> Result<(), HttpError> {
    if body.starts_with(&[0x1f, 0x8b]) { Err(compressed("gzip", what)) } else { Ok(()) }
}

fn compressed(coding: &str, what: &str) -> HttpError {
    let detail =
        format!("the body is compressed ({coding}), which is not supported for {what}; send it uncompressed");
    HttpError::new(ProblemType::MediaTypeUnsupported, detail)
}

fn malformed(detail: String) -> HttpError {
    HttpError::new(ProblemType::HeaderMalformed, detail)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn effects(names: &[&'static str], effective: &[&str]) -> Result<(), String> {
        let headers = names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
        expect_effects(&headers.collect(), effective).map_err(|error| error.problem().detail)
    }

    #[test]
    fn a_header_of_the_contract_without_effect_on_the_request_is_refused() {
        assert_eq!(
            effects(&["message-delay", "host", "x-message-dely", "traceparent"], &[MESSAGE_DELAY]),
            Ok(())
        );
        for (name, ..) in EFFECTIVE_WHERE {
            assert!(effects(&[name], &[]).unwrap_err().contains("has no effect on this request"), "{name}");
        }
    }

    #[test]
    fn a_misspelt_header_is_refused_and_forwarded_answer_headers_are_ignored() {
        let detail = effects(&["message-dely"], &[MESSAGE_DELAY]).unwrap_err();
        assert!(
            detail.contains(r#"the header "message-dely" is unknown (did you mean Message-Delay?)"#),
            "{detail}"
        );
        assert!(effects(&["restante-setle"], &[]).unwrap_err().contains("did you mean Restante-Settle?"));
        assert!(effects(&["idempotency-keys"], &[IDEMPOTENCY_KEY]).is_err());
        assert_eq!(effects(&ANSWERED, &[]), Ok(()));
    }

    #[test]
    fn a_compressed_body_is_refused_by_its_header_and_by_its_first_bytes() {
        let coded = |value: &'static str| {
            expect_no_coding(
                &HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))]),
                "batches",
            )
        };
        assert!(coded("identity").is_ok() && coded("").is_ok());
        for bad in ["gzip", "identity, br"] {
            assert_eq!(coded(bad).unwrap_err().kind(), ProblemType::MediaTypeUnsupported, "{bad}");
        }
        let detail = expect_not_gzip(&[0x1f, 0x8b, 8], "batches").unwrap_err().problem().detail;
        assert_eq!(
            detail,
            "the body is compressed (gzip), which is not supported for batches; send it uncompressed"
        );
        assert!(expect_not_gzip(b"{}", "batches").is_ok());
    }
}
