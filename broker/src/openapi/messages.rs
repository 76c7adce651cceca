//! `/v1/messages/{address}` and `/v1/receive/{address}`: one message in, one message out.

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
use crate::adapter::IN_FLIGHT_MAX;

const TAG: &str = "messages";

/// `POST /v1/messages/{address}`.
pub fn push() -> Operation {
    let operation = operation(
        "push",
        TAG,
        "Send a message to an address",
        "The body is the content, kept byte for byte with its Content-Type; nothing looks inside. Headers `ce-*` and \
         `Meta-*` are kept with it, and those that the channel names (keepHeaders): at most 64 kept headers, and 2 KiB of them. The query takes nothing.",
    );
    let body = RequestBodyBuilder::new()
        .description(Some("The content, of any media type."))
        .content("application/octet-stream", bytes())
        .content("*/*", anything())
        .required(Some(Required::False));
    let stored = ResponseBuilder::new()
        .description("The message is stored, as durably as Message-Durability says.")
        .header("Message-Id", required("Unique, and not an order.", schemas::uuid()))
        .header(
            "Message-Durability",
            required("What the 201 promises.", schemas::one_of(&["fsync", "replicated", "memory"])),
        )
        .header(
            "Idempotency-Replayed",
            optional("The message was stored before, under the same key.", schemas::one_of(&["true"])),
        )
        .header("Preference-Applied", optional("wait=N, when Prefer was used.", schemas::text()));
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
        P::IdempotencyFull,
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
        "Ask an address for a message, or for a stream of them",
        "The next message is leased: it is the caller's until the lease ends, and gone once the lease is settled \
         (DELETE of the path in Location). With `Accept: text/event-stream` messages follow each other as Server-Sent \
         Events, `in_flight` unsettled at a time; of the parameters only lease and in_flight are taken then, and neither Acknowledge nor Receive-Attempt-Id. Without \
         it, in_flight is not taken.",
    );
    let in_flight = parameters::query(
        "in_flight",
        "Streams: the most unsettled messages; 1 when it is not said.",
        schemas::whole(1, IN_FLIGHT_MAX),
    );
    let events = ContentBuilder::new().schema(Some(schemas::event())).build();
    let delivered = delivered()
        .header(
            "X-Accel-Buffering",
            optional("Streams: proxies do not hold events back.", schemas::one_of(&["no"])),
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
        "Ask an address for a message, by POST",
        "The same as a pull, without a body, for clients and proxies that distrust GET.",
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
    let operation = operation(id, tag, "Count an address's ready messages", "Nothing is taken.");
    let operation = operation.response("200", answers::of_a_count().build());
    with_problems(operation, &[&ADDRESS, &NO_BODY, &[P::ParameterUnknown]]).build()
}

fn delivered() -> ResponseBuilder {
    let response = answers::of_a_stranger(answers::of_a_pull(
        "A message: its content is the body, with its own Content-Type (none if the sender named none) and kept headers. \
         Headers that begin with Message \
         or Lease are absent from a stream, and those of the lease with ack=auto.",
    ));
    response
        .header("Message-Id", optional("Unique, and not an order.", schemas::uuid()))
        .header("Message-Enqueued-At", optional("When it was stored.", schemas::moment()))
        .header(
            "Message-Deliveries",
            optional("How often it was handed out, this time included.", schemas::count()),
        )
        .header("Message-Group", optional("Its group.", schemas::text()))
        .header(
            "Message-Dead-Letter-Cause",
            optional(
                "Why another channel gave it up.",
                schemas::one_of(&["max-deliveries", "rejected", "expired"]),
            ),
        )
        .header("Message-Dead-Letter-Channel", optional("The channel that gave it up.", schemas::text()))
        .header(
            "Message-Dead-Letter-Reason",
            optional("What was said when it was rejected.", schemas::text()),
        )
        .header("Message-Dead-Letter-Since", optional("When another channel gave it up.", schemas::moment()))
        .header("Location", optional("The lease's path: DELETE settles it.", schemas::text()))
        .header("Lease-Duration", optional("Seconds that the lease was granted for.", schemas::count()))
        .header("Lease-Expires-At", optional("When it ends, by the broker's clock.", schemas::moment()))
        .header("Content-Encoding", optional("The content's own.", schemas::text()))
        .header("Content-Language", optional("The content's own.", schemas::text()))
        .header("Reply-To", optional("As it was sent.", schemas::text()))
        .header("Correlation-Id", optional("As it was sent.", schemas::text()))
        .header("traceparent", optional("As it was sent.", schemas::text()))
        .header("tracestate", optional("As it was sent.", schemas::text()))
        .header("baggage", optional("As it was sent.", schemas::text()))
}

fn answered(operation: OperationBuilder, delivered: ResponseBuilder) -> Operation {
    let operation = operation.response("200", delivered.build()).response("204", timed_out().build());
    with_problems(operation, &[&ADDRESS, &pull_problems()]).build()
}

/// The time-out response.
pub(super) fn timed_out() -> ResponseBuilder {
    answers::of_a_pull("The time-out response: nothing came within the wait. Ask again.")
}

/// What every kind of pull can meet.
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

/// From an answer with leases to what is done with one.
pub(super) fn lease_link(operation_id: &str, lease: &str, description: &str) -> utoipa::openapi::link::Link {
    LinkBuilder::new().operation_id(operation_id).parameter("lease", lease).description(description).build()
}
