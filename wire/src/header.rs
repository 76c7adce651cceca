//! Header names of the HTTP contract, in the lower case that HTTP/2 requires (RFC 9113 section 8.2.1).

/// Push: the structured-field string (RFC 9651) under which a repeat of a push is recognised.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Answer to a push whose key was seen before: `true`.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
/// The message's id, a UUIDv7 (RFC 9562): unique, not an order.
pub const MESSAGE_ID: &str = "message-id";
/// What a 201 promises: one of the names of [`crate::channel::Durability`].
pub const MESSAGE_DURABILITY: &str = "message-durability";
/// When the message was stored, RFC 3339.
pub const MESSAGE_ENQUEUED_AT: &str = "message-enqueued-at";
/// How often the message was handed out, this time included.
pub const MESSAGE_DELIVERIES: &str = "message-deliveries";
/// Answer to a HEAD of an address: how many messages are ready.
pub const MESSAGE_READY: &str = "message-ready";
/// Seconds that the lease was granted for.
pub const LEASE_DURATION: &str = "lease-duration";
/// When the lease ends, RFC 3339, by the broker's clock.
pub const LEASE_EXPIRES_AT: &str = "lease-expires-at";
/// RFC 7240; `wait=N` is the preference that the broker honours.
pub const PREFER: &str = "prefer";
/// RFC 7240 section 3.
pub const PREFERENCE_APPLIED: &str = "preference-applied";
/// Where an answer goes, for request and reply over two channels; kept and handed back.
pub const REPLY_TO: &str = "reply-to";
/// Which request a reply belongs to; kept and handed back.
pub const CORRELATION_ID: &str = "correlation-id";

/// Headers that are part of the message's content and handed back unchanged.
const KEPT: [&str; 7] = [
    "content-type",
    "content-encoding",
    "content-language",
    "traceparent",
    "tracestate",
    REPLY_TO,
    CORRELATION_ID,
];
/// Headers with one of these prefixes are kept as well: CloudEvents' attributes and the sender's own.
const KEPT_PREFIXES: [&str; 2] = ["ce-", "meta-"];

/// The most kept headers of one message.
pub const KEPT_HEADERS_MAX: usize = 64;
/// The most bytes of names and values of one message's kept headers: proxies drop answers with larger heads, and the
/// message could never be delivered.
pub const KEPT_HEADERS_BYTES_MAX: usize = 2048;

/// Whether a header of a push is kept with the message and handed back. The name is in lower case.
pub fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
