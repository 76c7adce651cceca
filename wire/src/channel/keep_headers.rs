//! The request headers that a channel keeps with its messages in addition to the standard ones.

use serde::{Deserialize, Serialize};

use super::bounds::{KEEP_HEADER_BYTES_MAX, KEEP_HEADERS_MAX};

/// Headers that no channel keeps. In an answer, each would be mistaken for a header of the broker, or would let a
/// sender control the receiver's proxy, browser or credentials.
pub const NEVER_KEPT: &[&str] = &[
    // Headers of one connection (RFC 9110 section 7.6.1).
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // Credentials: a receiver must not learn those of the sender, and a browser must not accept any.
    "authorization",
    "authentication-info",
    "cookie",
    "set-cookie",
    "www-authenticate",
    // The route of a request: the answer takes another route, and proxies trust these headers as their own.
    "host",
    "forwarded",
    "via",
    "x-real-ip",
    // The length, form and age of an answer.
    "age",
    "content-length",
    "content-location",
    "content-range",
    "date",
    "etag",
    "expect",
    "expires",
    "last-modified",
    "range",
    "vary",
    // Headers that make a client, a cache or a browser do something.
    "allow",
    "alt-svc",
    "cache-control",
    "clear-site-data",
    "link",
    "location",
    "nel",
    "origin",
    "pragma",
    "referer",
    "refresh",
    "report-to",
    "retry-after",
    "server",
    "service-worker-allowed",
    "sourcemap",
    "strict-transport-security",
    "user-agent",
    // Headers of the broker's contract.
    "prefer",
    "preference-applied",
    "last-event-id",
];

/// Beginnings of further headers that no channel keeps.
pub const NEVER_KEPT_PREFIXES: &[&str] = &[
    // Headers of the broker's contract.
    "acknowledge",
    "idempotency-",
    "lease-",
    "message-",
    "receive-attempt-",
    "restante-",
    // Content negotiation and conditions of one request.
    "accept",
    "if-",
    // Credentials for proxies, and the route of a request.
    "proxy-",
    "x-forwarded-",
    "x-original-",
    // Security policies of browsers.
    "access-control-",
    "content-security-policy",
    "cross-origin-",
    "permissions-policy",
    "referrer-policy",
    "sec-",
    "x-content-type-options",
    "x-frame-options",
    // Commands to proxies: nginx sends the client any file that an answer's X-Accel-Redirect names.
    "x-accel-",
    "x-lighttpd-",
    "x-sendfile",
];

/// The request headers that a channel keeps in addition to the standard ones: names, or beginnings of names followed by
/// `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeepHeaders(Box<[Box<str>]>);

impl KeepHeaders {
    /// Whether only the standard headers are kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a header of this name, in lower case, is kept.
    pub fn keeps(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => **pattern == *name,
        })
    }

    /// Checks the patterns; the error continues after the field's name.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.0.len() > KEEP_HEADERS_MAX {
            return Err(format!(
                "has {} entries, which exceeds the limit of {KEEP_HEADERS_MAX}",
                self.0.len()
            ));
        }
        for (index, pattern) in self.0.iter().enumerate() {
            if self.0[..index].contains(pattern) {
                return Err(format!("has the entry {pattern:?} more than once"));
            }
            if !is_pattern(pattern) {
                return Err(format!(
                    "has the invalid entry {pattern:?}; use a header name in lower case, or its beginning and *, of at \
                     most {KEEP_HEADER_BYTES_MAX} characters"
                ));
            }
            if let Some(never) = never_kept_by(pattern) {
                return Err(format!(
                    "has the entry {pattern:?}, which covers {never}, a header that is never kept; use a longer name"
                ));
            }
        }
        Ok(())
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for KeepHeaders {
    fn from_iter<I: IntoIterator<Item = S>>(patterns: I) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }
}

/// Whether a channel may keep a header of this name, in lower case.
pub fn may_be_kept(name: &str) -> bool {
    !NEVER_KEPT.contains(&name) && !NEVER_KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a text is a header name in lower case, or the beginning of one followed by `*`.
fn is_pattern(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |byte: &u8| is_alphanumeric(byte) || b"-_.".contains(byte);
    text.len() <= KEEP_HEADER_BYTES_MAX
        && name.as_bytes().first().is_some_and(is_alphanumeric)
        && name.as_bytes().iter().all(is_part)
        && (name.len() < text.len() || name.as_bytes().last().is_some_and(is_alphanumeric))
}

/// The entry of [`NEVER_KEPT`] or [`NEVER_KEPT_PREFIXES`] that a pattern covers.
fn never_kept_by(pattern: &str) -> Option<&'static str> {
    let covers = |never: &str| match pattern.strip_suffix('*') {
        Some(prefix) => never.starts_with(prefix),
        None => pattern == never,
    };
    let name = NEVER_KEPT.iter().find(|never| covers(never));
    let prefix = NEVER_KEPT_PREFIXES.iter().find(|never| pattern.starts_with(**never) || covers(never));
    name.or(prefix).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(patterns: &[&str]) -> KeepHeaders {
        patterns.iter().copied().collect()
    }

    #[test]
    fn a_name_keeps_one_header_and_a_prefix_keeps_every_header_with_it() {
        let keep = keep(&["stripe-signature", "x-github-*"]);
        assert_eq!(keep.check(), Ok(()));
        for kept in ["stripe-signature", "x-github-event", "x-github-"] {
            assert!(keep.keeps(kept), "{kept}");
        }
        for other in ["stripe-signature-2", "x-githu", "x-gitlab-event"] {
            assert!(!keep.keeps(other), "{other}");
        }
    }

    #[test]
    fn headers_of_common_webhook_senders_can_be_kept() {
        let common = [
            "x-github-*",
            "x-hub-signature-256",
            "x-gitlab-*",
            "stripe-signature",
            "webhook-*",
            "svix-*",
            "x-slack-*",
            "x-shopify-*",
            "x-twilio-signature",
            "paypal-*",
            "linear-*",
            "content-disposition",
        ];
        assert_eq!(keep(&common).check(), Ok(()));
    }

    #[test]
    fn an_entry_that_is_not_a_lower_case_name_or_prefix_is_refused() {
        let long = "x".repeat(65);
        for bad in ["", "*", "-a", "a-", "X-Github-Event", "x-*-event", "x-**", "a b", "a:b", long.as_str()] {
            assert!(keep(&[bad]).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_forbidden_header_is_refused_by_name_and_by_any_prefix_that_covers_it() {
        for bad in [
            "authorization",
            "auth*",
            "cookie",
            "host",
            "content-length",
            "content-*",
            "forwarded",
            "location",
            "x-forwarded-for",
            "x-forwarded-*",
            "x-*",
            "x-accel-redirect",
            "message-id",
            "message-*",
            "m*",
            "lease-duration",
            "connection",
            "transfer-encoding",
            "proxy-authorization",
            "sec-fetch-site",
            "set-*",
        ] {
            let reason = keep(&["webhook-id", bad]).check().unwrap_err();
            assert!(reason.contains(bad) && reason.contains("never kept"), "{bad}: {reason}");
        }
    }

    #[test]
    fn an_entry_that_is_given_more_than_once_is_refused() {
        let reason = keep(&["webhook-id", "x-github-*", "webhook-id"]).check().unwrap_err();
        assert_eq!(reason, "has the entry \"webhook-id\" more than once");
    }

    #[test]
    fn entries_above_the_limit_are_refused() {
        let names: Vec<_> = (0..17).map(|number| format!("webhook-{number}")).collect();
        assert_eq!(names[..16].iter().cloned().collect::<KeepHeaders>().check(), Ok(()));
        assert!(names.into_iter().collect::<KeepHeaders>().check().is_err());
    }
}
