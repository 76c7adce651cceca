//! Header names of the HTTP contract, in the lower case that HTTP/2 requires (RFC 9113 section 8.2.1).

/// Push: the key by which a repeat of a push is recognised, a structured-field string (RFC 9651).
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Answer to a push whose key was seen before: `true`.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
/// The message's id, a UUIDv7 (RFC 9562): unique, but not an order.
pub const MESSAGE_ID: &str = "message-id";
/// The durability of a stored message: one of the names of [`crate::channel::Durability`].
pub const MESSAGE_DURABILITY: &str = "message-durability";
/// When the message was stored, RFC 3339.
pub const MESSAGE_ENQUEUED_AT: &str = "message-enqueued-at";
/// The number of deliveries of the message, including this one.
pub const MESSAGE_DELIVERIES: &str = "message-deliveries";
/// Answer to a HEAD of an address: the number of ready messages.
pub const MESSAGE_READY: &str = "message-ready";
/// Push: the message group, 1 to 128 visible ASCII characters. At most one message of a group is leased at a time.
pub const MESSAGE_GROUP: &str = "message-group";
/// Push: seconds until the message becomes ready.
pub const MESSAGE_DELAY: &str = "message-delay";
/// Push: seconds until the message expires.
pub const MESSAGE_TTL: &str = "message-ttl";
/// On a dead letter of another channel: the cause, one of the names of [`crate::DeadLetterCause`].
pub const MESSAGE_DEAD_LETTER_CAUSE: &str = "message-dead-letter-cause";
/// On a dead letter of another channel: that channel, `namespace/name`.
pub const MESSAGE_DEAD_LETTER_CHANNEL: &str = "message-dead-letter-channel";
/// On a dead letter that a receiver rejected: the receiver's reason.
pub const MESSAGE_DEAD_LETTER_REASON: &str = "message-dead-letter-reason";
/// On a dead letter of another channel: when it became one, RFC 3339.
pub const MESSAGE_DEAD_LETTER_SINCE: &str = "message-dead-letter-since";
/// Pull: leases to settle before the wait begins, separated by commas.
pub const ACKNOWLEDGE: &str = "acknowledge";
/// Answer to [`ACKNOWLEDGE`]: each lease that was not settled, as `<lease>;reason=<problem type>`.
pub const ACKNOWLEDGE_FAILED: &str = "acknowledge-failed";
/// Pull: the id by which a repeat of a pull with a lost answer is recognised, a structured-field string.
pub const RECEIVE_ATTEMPT_ID: &str = "receive-attempt-id";
/// Pull by GET: `yes` confirms `ack=auto`. A simple request of a page cannot have this header.
pub const RESTANTE_SETTLE: &str = "restante-settle";
/// The granted duration of the lease, in seconds.
pub const LEASE_DURATION: &str = "lease-duration";
/// When the lease ends, RFC 3339, by the broker's clock.
pub const LEASE_EXPIRES_AT: &str = "lease-expires-at";
/// Preferences of the client (RFC 7240); the broker honours `wait=N`.
pub const PREFER: &str = "prefer";
/// The preference that the broker applied (RFC 7240 section 3).
pub const PREFERENCE_APPLIED: &str = "preference-applied";
/// The address for a reply, for request and reply over two channels. A kept header.
pub const REPLY_TO: &str = "reply-to";
/// The request to which a reply belongs. A kept header.
pub const CORRELATION_ID: &str = "correlation-id";

/// Kept headers: they are stored with the message and returned to the receiver unchanged.
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
/// Headers with these prefixes are kept too: attributes of CloudEvents, and the sender's own headers.
const KEPT_PREFIXES: [&str; 2] = ["ce-", "meta-"];

/// Headers of answers. They are ignored in a push, so that a client can forward a message with all its headers.
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

/// Kept headers that a message may have only once: of two values, receivers would read one.
pub const KEPT_ONCE: [&str; 3] = ["content-type", REPLY_TO, CORRELATION_ID];

/// The maximum number of kept headers of one message.
pub const KEPT_HEADERS_MAX: usize = 64;
/// The maximum size of one message's kept headers, names and values, in bytes: proxies drop answers with larger heads,
/// so the message could never be delivered.
pub const KEPT_HEADERS_BYTES_MAX: usize = 2048;

/// The maximum length of a message group, in characters.
pub const GROUP_CHARACTERS_MAX: usize = 128;
/// The maximum length of an idempotency key, an attempt id and the reason of a rejection, in characters.
pub const KEY_CHARACTERS_MAX: usize = 255;
/// The maximum number of leases in [`ACKNOWLEDGE`].
pub const ACKNOWLEDGED_LEASES_MAX: usize = 64;

/// Whether a header of a push is kept with the message. The name must be in lower case.
pub fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
