//! Parameters that several operations share.

use restante_wire::{
    batch::BATCH_ITEMS_MAX,
    channel::{DELAY_SECONDS_MAX, TTL_SECONDS_MAX},
};
use utoipa::openapi::{
    Object, Required,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use super::schemas;

pub(super) fn required(name: &str, place: ParameterIn, description: &str, schema: Object) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::True);
    parameter.description(Some(description)).schema(Some(schema)).build()
}

/// An optional query parameter.
pub(super) fn query(name: &str, description: &str, schema: Object) -> Parameter {
    optional(name, ParameterIn::Query, description, schema)
}

/// An optional request header.
pub(super) fn header(name: &str, description: &str, schema: Object) -> Parameter {
    optional(name, ParameterIn::Header, description, schema)
}

fn optional(name: &str, place: ParameterIn, description: &str, schema: Object) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::False);
    parameter.description(Some(description)).schema(Some(schema)).build()
}

/// The headers of a push. OpenAPI cannot describe the kept headers whose names the sender chooses (`ce-*`, `Meta-*`,
/// `keepHeaders`).
pub(super) fn of_a_push() -> Vec<Parameter> {
    vec![
        header(
            "Idempotency-Key",
            "A repeat with the same key is not stored again. A structured-field string (RFC 9651), with or without \
             quotes.",
            schemas::key(),
        ),
        header(
            "Message-Group",
            "The message group, of which at most one message is leased at a time. A structured-field string, with or \
             without quotes.",
            schemas::group(),
        ),
        header(
            "Message-Delay",
            "Seconds until the message is ready; the channel's limits.maxDelaySeconds is the maximum.",
            schemas::whole_number(0, DELAY_SECONDS_MAX),
        ),
        header(
            "Message-TTL",
            "Seconds until the message expires; the channel's limits.ttlSeconds is the maximum. It must be more than \
             Message-Delay.",
            schemas::whole_number(1, TTL_SECONDS_MAX),
        ),
        header(
            "Prefer",
            "wait=N: if the channel is full, wait up to N seconds for room (RFC 7240).",
            schemas::text(),
        ),
        header("Content-Encoding", "Kept with the message and returned to the receiver.", schemas::text()),
        header("Content-Language", "Kept with the message and returned to the receiver.", schemas::text()),
        header("Reply-To", "Kept with the message and returned to the receiver.", schemas::text()),
        header("Correlation-Id", "Kept with the message and returned to the receiver.", schemas::text()),
        header(
            "traceparent",
            "Kept with the message and returned to the receiver (W3C Trace Context).",
            schemas::text(),
        ),
        header(
            "tracestate",
            "Kept with the message and returned to the receiver (W3C Trace Context).",
            schemas::text(),
        ),
        header(
            "baggage",
            "Kept with the message and returned to the receiver (W3C Baggage).",
            schemas::text(),
        ),
    ]
}

/// The parameters of every kind of pull.
pub(super) fn of_a_pull() -> Vec<Parameter> {
    vec![
        query(
            "wait",
            "Seconds to wait for a message; lowered to the channel's maxWaitSeconds. Default: the wait of Prefer, else \
             the channel's waitSeconds.",
            schemas::lowered_seconds(0),
        ),
        lease(),
        query(
            "ack",
            "auto: settle the messages before the answer is sent (at-most-once delivery). It excludes lease and \
             Receive-Attempt-Id. A GET without Authorization also needs Restante-Settle.",
            schemas::one_of(&["auto"]),
        ),
        header(
            "Restante-Settle",
            "yes: confirms ack=auto. A GET with ack=auto and without Authorization needs it, because a page cannot \
             make a browser send this header without permission. Without ack=auto it is rejected.",
            schemas::one_of(&["yes"]),
        ),
        header("Prefer", "wait=N: the wait in seconds if the query has none (RFC 7240).", schemas::text()),
        header(
            "Acknowledge",
            "Leases to settle, durably, before the wait begins: 1 to 64 tokens or values of Location, separated by \
             commas.",
            schemas::leases(),
        ),
        header(
            "Receive-Attempt-Id",
            "A repeat of a pull with the same id gets the same messages and leases, if it has the same max and lease. \
             A structured-field string, with or without quotes.",
            schemas::key(),
        ),
    ]
}

pub(super) fn lease() -> Parameter {
    query(
        "lease",
        "The lease duration in seconds; lowered to the channel's maxLeaseSeconds. Default: the channel's leaseSeconds.",
        schemas::lowered_seconds(1),
    )
}

/// The maximum number of messages in an answer.
pub(super) fn max_messages() -> Parameter {
    query(
        "max",
        "The maximum number of messages in the answer; default 100.",
        schemas::whole_number(1, BATCH_ITEMS_MAX as u32),
    )
}
