//! The pages of the problem types. Every broker serves its own, so that the `Link` of an answer leads to the page of
//! this version.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header as standard};
use restante_wire::{ProblemType, path};

use super::header::accepts;

/// The text of a page in `docs/errors/`.
macro_rules! page {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors/", $name, ".md"))
    };
}

/// The list of all problem types.
const OVERVIEW: &str = page!("README");

/// The HTML around a page, which shows the Markdown as plain text. It loads and runs nothing.
const HTML: [&str; 3] = [
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
     content=\"width=device-width\">\n<title>",
    "</title>\n<pre style=\"white-space: pre-wrap; max-width: 60em\">",
    "</pre>\n</html>\n",
];

/// `GET` and `HEAD /errors/{name}`: HTML for a browser, else Markdown. An unknown name is 404 with the list of all
/// types.
pub async fn page(request: Request) -> Response {
    let name = request.uri().path().strip_prefix(path::ERRORS).unwrap_or_default();
    let (status, page) = match ProblemType::from_name(name) {
        Some(kind) => (StatusCode::OK, text(kind)),
        None => (StatusCode::NOT_FOUND, OVERVIEW),
    };
    let (media_type, body) = if accepts(request.headers(), "text/html") {
        let title = page.lines().next().unwrap_or_default().trim_start_matches("# ");
        let [before, between, after] = HTML;
        ("text/html; charset=utf-8", [before, &escaped(title), between, &escaped(page), after].concat())
    } else {
        ("text/markdown; charset=utf-8", page.to_owned())
    };
    let headers = [
        (standard::CONTENT_TYPE, media_type),
        // The broker may be upgraded before the next request.
        (standard::CACHE_CONTROL, "no-cache"),
        (standard::VARY, "Accept"),
        (standard::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            standard::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (status, headers, body).into_response()
}

/// The page of a problem type. The match is exhaustive, so that a new type needs a page.
fn text(kind: ProblemType) -> &'static str {
    use ProblemType as P;
    match kind {
        P::AddressMalformed => page!("address-malformed"),
        P::AddressUnknown => page!("address-unknown"),
        P::ParameterMalformed => page!("parameter-malformed"),
        P::ParameterUnknown => page!("parameter-unknown"),
        P::HeaderMalformed => page!("header-malformed"),
        P::HeadersTooLarge => page!("headers-too-large"),
        P::BodyIncomplete => page!("body-incomplete"),
        P::BodyUnexpected => page!("body-unexpected"),
        P::BodyTimeout => page!("body-timeout"),
        P::MediaTypeUnsupported => page!("media-type-unsupported"),
        P::BodyMalformed => page!("body-malformed"),
        P::ItemMalformed => page!("item-malformed"),
        P::BatchTooLarge => page!("batch-too-large"),
        P::TransferCodingUnsupported => page!("transfer-coding-unsupported"),
        P::AttemptMismatch => page!("attempt-mismatch"),
        P::BrowserForbidden => page!("browser-forbidden"),
        P::OriginForbidden => page!("origin-forbidden"),
        P::HostForbidden => page!("host-forbidden"),
        P::MessageTooLarge => page!("message-too-large"),
        P::ChannelFull => page!("channel-full"),
        P::RateLimited => page!("rate-limited"),
        P::TooManySenders => page!("too-many-senders"),
        P::ChannelClosing => page!("channel-closing"),
        P::IdempotencyInProgress => page!("idempotency-in-progress"),
        P::IdempotencyMismatch => page!("idempotency-mismatch"),
        P::IdempotencyUnreadable => page!("idempotency-unreadable"),
        P::TooManyReceivers => page!("too-many-receivers"),
        P::AttemptRepeated => page!("attempt-repeated"),
        P::AttemptUnreadable => page!("attempt-unreadable"),
        P::LeaseUnknown => page!("lease-unknown"),
        P::LeaseExpired => page!("lease-expired"),
        P::LeaseReleased => page!("lease-released"),
        P::LeaseSuperseded => page!("lease-superseded"),
        P::MessageSettled => page!("message-settled"),
        P::ChannelDeleted => page!("channel-deleted"),
        P::NotProgrammed => page!("not-programmed"),
        P::Busy => page!("busy"),
        P::Draining => page!("draining"),
        P::TooManyIdempotencyKeys => page!("too-many-idempotency-keys"),
        P::StoreFull => page!("store-full"),
        P::StoreFailed => page!("store-failed"),
        P::RouteUnknown => page!("route-unknown"),
        P::MethodNotAllowed => page!("method-not-allowed"),
        P::Internal => page!("internal"),
        P::Unauthorized => page!("unauthorized"),
        P::ChannelInvalid => page!("channel-invalid"),
        P::ChannelConflict => page!("channel-conflict"),
        P::ManagedByManifests => page!("managed-by-manifests"),
        P::ChannelUnknown => page!("channel-unknown"),
        P::ChannelNotEmpty => page!("channel-not-empty"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_the_page_of_its_name() {
        for kind in ProblemType::ALL {
            assert!(text(*kind).starts_with(&format!("# {}\n", kind.name())), "{}", kind.name());
        }
    }
}
