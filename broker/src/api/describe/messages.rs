//! `/v1/messages/{address}` and `/v1/receive/{address}`: sending and receiving single messages.

use restante_wire::ProblemType as P;
use utoipa::openapi::{
    ContentBuilder, Required, ResponseBuilder,
    link::LinkBuilder,
    path::{Operation, OperationBuilder},
    request_body::RequestBodyBuilder,
};

use super::{
    answers::{self, anything, bytes, operation, optional, required, with_parameters},
    parameters,
    problems::{ADDRESS, BODY, NO_BODY, with_problems},
    schemas,
};
use crate::api::IN_FLIGHT_MAX;

const TAG: &str = "messages";

/// `POST /v1/messages/{address}`.
pub fn push() -> Operation {
    let operation = operation(
        "push",
        TAG,
        "Send a message to an address",
        "The message's body; the broker stores it byte for byte with its Content-Type and does not \
         interpret it. Headers `ce-*`, `Meta-*` and those in the channel's keepHeaders are kept with it: at most 64 \
         kept headers, and 2 KiB in all. The request takes no query parameters.",
    );
    let body = RequestBodyBuilder::new()
        .description(Some("The body, of any media type."))
        .content("application/octet-stream", bytes())
        .content("*/*", anything())
        .required(Some(Required::False));
    let stored = ResponseBuilder::new()
        .description("The message is stored, with the durability in Message-Durability.")
        .header("Message-Id", required("The message's id: unique, but not an order.", schemas::uuid()))
        .header(
            "Message-Durability",
            required(
                "The durability of the stored message.",
                schemas::one_of(&["fsync", "replicated", "memory"]),
            ),
        )
        .header(
            "Idempotency-Replayed",
            optional("The message was stored before, with the same key.", schemas::one_of(&["true"])),
        )
        .header(
            "Preference-Applied",
            optional("wait=N, if the wait of Prefer was applied.", schemas::text()),
        );
    let operation = with_parameters(operation, parameters::of_a_push())
        .request_body(Some(body.build()))
        .response("201", stored.build());
    let refused = [
        P::ParameterUnknown,
        P::IdempotencyInProgress,
        P::ChannelClosing,
        P::MessageTooLarge,
        P::IdempotencyMismatch,
        P::IdempotencyUnreadable,
        P::ChannelFull,
        P::RateLimited,
        P::TooManySenders,
        P::HeadersTooLarge,
        P::TooManyIdempotencyKeys,
        P::StoreFull,
        P::StoreFailed,
    ];
    with_problems(operation, &[&ADDRESS, &BODY, &refused]).build()
}

/// `GET /v1/messages/{address}`.
pub fn pull() -> Operation {
    let operation = operation(
        "pull",
        TAG,
        "Receive a message from an address, or a stream of messages",
        "Leases the next message to the caller: no other receiver gets it until the lease ends, and it is gone once \
         the lease is settled (DELETE of the path in Location). With `Accept: text/event-stream` the answer is a \
         stream of Server-Sent Events with at most `in_flight` unsettled messages; a stream takes only the parameters \
         lease and in_flight, and neither Acknowledge nor Receive-Attempt-Id. A request without that Accept does not \
         take in_flight.",
    );
    let in_flight = parameters::query(
        "in_flight",
        "Streams: the maximum number of unsettled messages; default 1.",
        schemas::whole_number(1, IN_FLIGHT_MAX),
    );
    let events = ContentBuilder::new().schema(Some(schemas::event())).build();
    let delivered = delivered()
        .header(
            "X-Accel-Buffering",
            optional("Streams: proxies must not buffer the events.", schemas::one_of(&["no"])),
        )
        .content("application/octet-stream", bytes())
        .content("text/event-stream", events)
        .content("*/*", anything());
    answered(with_parameters(operation, parameters::of_a_pull()).parameter(in_flight), delivered)
}

/// `POST /v1/receive/{address}`.
pub fn receive() -> Operation {
    let operation = operation(
        "receive",
        TAG,
        "Receive a message from an address, by POST",
        "The same as GET of /v1/messages/, for clients and proxies that cache or repeat a GET. The request has no \
         body.",
    );
    let delivered = delivered().content("application/octet-stream", bytes()).content("*/*", anything());
    answered(with_parameters(operation, parameters::of_a_pull()), delivered)
}

/// `HEAD /v1/messages/{address}`.
pub fn count() -> Operation {
    counted("count", TAG)
}

/// A HEAD of any path with an address.
pub(super) fn counted(id: &str, tag: &str) -> Operation {
    let operation = operation(id, tag, "Count the ready messages of an address", "Nothing is leased.");
    let operation = operation.response("200", answers::of_a_count().build());
    with_problems(operation, &[&ADDRESS, &NO_BODY, &[P::ParameterUnknown]]).build()
}

fn delivered() -> ResponseBuilder {
    let response = answers::of_a_stranger(answers::of_a_pull(
        "A message: its body, with the sender's Content-Type (absent if the sender sent none) and the \
         kept headers. A stream has no headers that begin with Message or Lease; an answer with ack=auto has none of \
         the lease.",
    ));
    response
        .header("Message-Id", optional("The message's id: unique, but not an order.", schemas::uuid()))
        .header("Message-Enqueued-At", optional("When the message was stored.", schemas::moment()))
        .header(
            "Message-Deliveries",
            optional("The number of deliveries of the message, including this one.", schemas::count()),
        )
        .header("Message-Group", optional("The message group.", schemas::text()))
        .header(
            "Message-Dead-Letter-Cause",
            optional(
                "On a dead letter of another channel: the cause.",
                schemas::one_of(&["max-deliveries", "rejected", "expired"]),
            ),
        )
        .header(
            "Message-Dead-Letter-Channel",
            optional("On a dead letter of another channel: that channel, namespace/name.", schemas::text()),
        )
        .header(
            "Message-Dead-Letter-Reason",
            optional("On a dead letter that a receiver rejected: the receiver's reason.", schemas::text()),
        )
        .header(
            "Message-Dead-Letter-Since",
            optional("On a dead letter of another channel: when it became one.", schemas::moment()),
        )
        .header("Location", optional("The path of the lease; DELETE settles it.", schemas::text()))
        .header(
            "Lease-Duration",
            optional("The granted duration of the lease, in seconds.", schemas::count()),
        )
        .header(
            "Lease-Expires-At",
            optional("When the lease ends, by the broker's clock.", schemas::moment()),
        )
        .header("Content-Encoding", optional("As the sender sent it.", schemas::text()))
        .header("Content-Language", optional("As the sender sent it.", schemas::text()))
        .header("Reply-To", optional("As the sender sent it.", schemas::text()))
        .header("Correlation-Id", optional("As the sender sent it.", schemas::text()))
        .header("traceparent", optional("As the sender sent it.", schemas::text()))
        .header("tracestate", optional("As the sender sent it.", schemas::text()))
        .header("baggage", optional("As the sender sent it.", schemas::text()))
}

fn answered(operation: OperationBuilder, delivered: ResponseBuilder) -> Operation {
    let operation = operation.response("200", delivered.build()).response("204", timed_out().build());
    with_problems(operation, &[&ADDRESS, &pull_problems()]).build()
}

/// The time-out response.
pub(super) fn timed_out() -> ResponseBuilder {
    answers::of_a_pull("The time-out response: no message became ready within the wait. Pull again.")
}

/// The problems of every kind of pull.
pub(super) fn pull_problems() -> [P; 12] {
    [
        P::ParameterMalformed,
        P::ParameterUnknown,
        P::BodyUnexpected,
        P::BodyIncomplete,
        P::BodyTimeout,
        P::Busy,
        P::AttemptRepeated,
        P::AttemptMismatch,
        P::AttemptUnreadable,
        P::TooManyReceivers,
        P::StoreFull,
        P::StoreFailed,
    ]
}

/// A link from an answer with leases to an operation on one of them.
pub(super) fn lease_link(operation_id: &str, lease: &str, description: &str) -> utoipa::openapi::link::Link {
    LinkBuilder::new().operation_id(operation_id).parameter("lease", lease).description(description).build()
}
