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
/// Push: the group of the message, 1 to 128 visible ASCII characters; of a group at most one message is leased.
pub const MESSAGE_GROUP: &str = "message-group";
/// Push: after how many seconds the message is handed out at the earliest.
pub const MESSAGE_DELAY: &str = "message-delay";
/// Push: after how many seconds the message expires.
pub const MESSAGE_TTL: &str = "message-ttl";
/// On a message that another channel gave up: why, one of the names of [`crate::DeadLetterCause`].
pub const MESSAGE_DEAD_LETTER_CAUSE: &str = "message-dead-letter-cause";
/// On a message that another channel gave up: that channel, `namespace/name`.
pub const MESSAGE_DEAD_LETTER_CHANNEL: &str = "message-dead-letter-channel";
/// On a message that a receiver rejected: what it said.
pub const MESSAGE_DEAD_LETTER_REASON: &str = "message-dead-letter-reason";
/// On a message that another channel gave up: when it was given up, RFC 3339.
pub const MESSAGE_DEAD_LETTER_SINCE: &str = "message-dead-letter-since";
/// Pull: leases to settle before the wait begins, separated by commas.
pub const ACKNOWLEDGE: &str = "acknowledge";
/// Answer to [`ACKNOWLEDGE`]: each lease that was not settled, as `<lease>;reason=<problem type>`.
pub const ACKNOWLEDGE_FAILED: &str = "acknowledge-failed";
/// Pull: the structured-field string under which a repeat of a pull is recognised whose answer was lost.
pub const RECEIVE_ATTEMPT_ID: &str = "receive-attempt-id";
/// Pull by GET: `yes` says that `ack=auto` is meant, a header that a page's simple request cannot have.
pub const RESTANTE_SETTLE: &str = "restante-settle";
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
const KEPT: [&str; 8] = [
    "content-type",
    "content-encoding",
    "content-language",
    "traceparent",
    "tracestate",
    "baggage",
    REPLY_TO,
    CORRELATION_ID,
];
/// Headers with one of these prefixes are kept as well: CloudEvents' attributes and the sender's own.
const KEPT_PREFIXES: [&str; 2] = ["ce-", "meta-"];

/// Headers of answers. Whoever passes a message on may send them along with a push, where they mean nothing.
pub const ANSWERED: [&str; 13] = [
    ACKNOWLEDGE_FAILED,
    IDEMPOTENCY_REPLAYED,
    MESSAGE_ID,
    MESSAGE_DURABILITY,
    MESSAGE_ENQUEUED_AT,
    MESSAGE_DELIVERIES,
    MESSAGE_READY,
    MESSAGE_DEAD_LETTER_CAUSE,
    MESSAGE_DEAD_LETTER_CHANNEL,
    MESSAGE_DEAD_LETTER_REASON,
    LEASE_DURATION,
    LEASE_EXPIRES_AT,
    PREFERENCE_APPLIED,
];

/// Kept headers that a message has once: of two, receivers would read one.
pub const KEPT_ONCE: [&str; 3] = ["content-type", REPLY_TO, CORRELATION_ID];

/// The most kept headers of one message.
pub const KEPT_HEADERS_MAX: usize = 64;
/// The most bytes of names and values of one message's kept headers: proxies drop answers with larger heads, and the
/// message could never be delivered.
pub const KEPT_HEADERS_BYTES_MAX: usize = 2048;

/// The longest group of a message, in characters.
pub const GROUP_CHARACTERS_MAX: usize = 128;
/// The longest idempotency key, attempt id and reason of a rejection, in characters.
pub const KEY_CHARACTERS_MAX: usize = 255;
/// The most leases of one [`ACKNOWLEDGE`].
pub const ACKNOWLEDGED_LEASES_MAX: usize = 64;

/// Whether a header of a push is kept with the message and handed back. The name is in lower case.
pub fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
