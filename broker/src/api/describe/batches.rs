//! `/v1/batches/{address}`: many messages in one request.

use restante_wire::{
    ProblemType as P,
    batch::{FRAMES_CONTENT_TYPE, PulledBatch, PushBatch, PushResults},
};
use utoipa::openapi::{Required, path::Operation, request_body::RequestBodyBuilder};

use super::{
    answers::{self, bytes, json, operation, required, with_parameters},
    messages::{counted, lease_link, pull_problems, timed_out},
    parameters,
    problems::{ADDRESS, BODY, with_problems},
    schemas,
};
use crate::api::LINGER_MS_MAX;

const TAG: &str = "batches";

/// `POST /v1/batches/{address}`.
pub fn push_batch() -> Operation {
    let operation = operation(
        "pushBatch",
        TAG,
        "Send many messages to an address",
        "Up to 1000 items and 8 MiB, stored with one sync of the disk. Items are independent of each other: a batch \
         that can be parsed is answered 200 with one result for each item, in order. A malformed batch is answered \
         400, and nothing is stored.",
    );
    let body = RequestBodyBuilder::new()
        .description(Some("The messages, as JSON or in the compact framing (docs/http.md)."))
        .content("application/json", json::<PushBatch>())
        .content(FRAMES_CONTENT_TYPE, bytes())
        .required(Some(Required::True));
    let stored = answers::not_stored("The result of each item.")
        .header(
            "Message-Durability",
            required(
                "The durability of items with status 201.",
                schemas::one_of(&["fsync", "replicated", "memory"]),
            ),
        )
        .content("application/json", json::<PushResults>());
    let operation = operation.request_body(Some(body.build())).response("200", stored.build());
    let refused = [P::ParameterUnknown, P::BatchTooLarge, P::MediaTypeUnsupported, P::StoreFailed];
    with_problems(operation, &[&ADDRESS, &BODY, &refused]).build()
}

/// `GET /v1/batches/{address}`.
pub fn pull_batch() -> Operation {
    let operation = operation(
        "pullBatch",
        TAG,
        "Receive many messages from an address",
        "At least one message, and up to max messages or 8 MiB; at most one message of each message group. The answer \
         is JSON, or the compact framing if Accept names application/vnd.restante.batch.",
    );
    let linger = parameters::query(
        "linger_ms",
        "Milliseconds to wait for more messages after the first; default 0.",
        schemas::whole_number(0, LINGER_MS_MAX),
    );
    let delivered = answers::of_a_stranger(answers::of_a_pull("The messages, each with its own lease."))
        .content("application/json", json::<PulledBatch>())
        .content(FRAMES_CONTENT_TYPE, bytes());
    let links = [
        ("settle", "Settles the first message."),
        ("renew", "Renews the lease of the first message."),
        ("release", "Releases the first message."),
        ("reject", "Rejects the first message."),
    ];
    let delivered = links.into_iter().fold(delivered, |response, (id, description)| {
        response.link(id, lease_link(id, "$response.body#/messages/0/lease", description))
    });
    let operation = with_parameters(operation, parameters::of_a_pull())
        .parameter(parameters::max_messages())
        .parameter(linger)
        .response("200", delivered.build())
        .response("204", timed_out().build());
    with_problems(operation, &[&ADDRESS, &pull_problems()]).build()
}

/// `HEAD /v1/batches/{address}`.
pub fn count_batch() -> Operation {
    counted("countBatch", TAG)
}
