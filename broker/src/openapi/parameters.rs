//! Parameters that several operations take.

use restante_wire::{
    batch::BATCH_ITEMS_MAX,
    channel::{DELAY_SECONDS_MAX, TTL_SECONDS_MAX},
};
use utoipa::openapi::{
    Object, Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use super::schemas;

/// A parameter that a request cannot do without.
pub(super) fn required(name: &str, place: ParameterIn, description: &str, schema: Object) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::True);
    parameter.description(Some(description)).schema(Some(schema)).build()
}

/// A query parameter.
pub(super) fn query(name: &str, description: &str, schema: Object) -> Parameter {
    optional(name, ParameterIn::Query, description, schema)
}

/// A request header.
pub(super) fn header(name: &str, description: &str, schema: Object) -> Parameter {
    optional(name, ParameterIn::Header, description, schema)
}

fn optional(name: &str, place: ParameterIn, description: &str, schema: Object) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::False);
    parameter.description(Some(description)).schema(Some(schema)).build()
}

/// What a push says of its message. Kept headers (`ce-*`, `Meta-*`, `keepHeaders`) have names of the sender's own, which OpenAPI
/// cannot describe.
pub(super) fn of_a_push() -> Vec<Parameter> {
    vec![
        header(
            "Idempotency-Key",
            "A repeat under the same key is not stored again: a structured-field string (RFC 9651), bare accepted.",
            schemas::key(),
        ),
        header(
            "Message-Group",
            "The message's group, of which at most one message is leased at a time: a structured-field string, bare \
             accepted.",
            schemas::group(),
        ),
        header(
            "Message-Delay",
            "Seconds before the message can be received; the channel may allow fewer (limits.maxDelaySeconds).",
            schemas::whole(0, DELAY_SECONDS_MAX),
        ),
        header(
            "Message-TTL",
            "Seconds that the message lives; the channel may allow fewer (limits.ttlSeconds). It must be more than \
             Message-Delay.",
            schemas::whole(1, TTL_SECONDS_MAX),
        ),
        header(
            "Prefer",
            "wait=N holds the sender up to N seconds when the channel is full (RFC 7240).",
            schemas::text(),
        ),
        header("Content-Encoding", "Kept with the message and handed back.", schemas::text()),
        header("Content-Language", "Kept with the message and handed back.", schemas::text()),
        header("Reply-To", "Kept with the message and handed back.", schemas::text()),
        header("Correlation-Id", "Kept with the message and handed back.", schemas::text()),
        header("traceparent", "Kept with the message and handed back (W3C Trace Context).", schemas::text()),
        header("tracestate", "Kept with the message and handed back (W3C Trace Context).", schemas::text()),
        header("baggage", "Kept with the message and handed back (W3C Baggage).", schemas::text()),
    ]
}

/// What every kind of pull takes.
pub(super) fn of_a_pull() -> Vec<Parameter> {
    vec![
        query(
            "wait",
            "Seconds to hold the request while nothing is there; the channel's maxWaitSeconds is the most. Without it, \
             Prefer or the channel's waitSeconds.",
            schemas::lowered_seconds(0),
        ),
        lease(),
        query(
            "ack",
            "auto settles the messages before the first byte leaves: at most once. It excludes lease and Receive-Attempt-Id. By \
             GET and without Authorization it needs Restante-Settle.",
            schemas::one_of(&["auto"]),
        ),
        header(
            "Restante-Settle",
            "yes: says that ack=auto is meant. A GET with ack=auto and without Authorization needs it, because no page can make a \
             browser send it unasked. Without ack=auto it is refused.",
            schemas::one_of(&["yes"]),
        ),
        header("Prefer", "wait=N, where the query names no wait (RFC 7240).", schemas::text()),
        header(
            "Acknowledge",
            "Leases to settle, durably, before the wait begins: 1 to 64, separated by commas; tokens, or what Location said.",
            schemas::leases(),
        ),
        header(
            "Receive-Attempt-Id",
            "A repeat of a pull whose answer was lost gets the same messages and leases, if it asks for the same max and \
             lease: a structured-field string, bare accepted.",
            schemas::key(),
        ),
    ]
}

/// How long a message is the receiver's.
pub(super) fn lease() -> Parameter {
    query(
        "lease",
        "Seconds that the message is the receiver's; the channel's maxLeaseSeconds is the most. Without it, its \
         leaseSeconds.",
        schemas::lowered_seconds(1),
    )
}

/// How many messages an answer has at the most.
pub(super) fn max_messages() -> Parameter {
    query(
        "max",
        "The most messages of the answer; 100 when it is not said.",
        schemas::whole(1, BATCH_ITEMS_MAX as u32),
    )
}
