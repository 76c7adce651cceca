//! `/v1/batches/{address}`: many messages at once.

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
use crate::adapter::LINGER_MS_MAX;

const TAG: &str = "batches";

/// `POST /v1/batches/{address}`.
pub fn push_batch() -> Operation {
    let operation = operation(
        "pushBatch",
        TAG,
        "Send many messages to an address",
        "Up to 1000 items and 8 MiB, in one sync, each on its own: a batch that can be read is 200 with one result for \
         each item, in order. One that cannot is 400, and stores nothing.",
    );
    let body = RequestBodyBuilder::new()
        .description(Some(
            "The messages: as JSON, or framed (docs of the crate restante-wire, batch::frames).",
        ))
        .content("application/json", json::<PushBatch>())
        .content(FRAMES_CONTENT_TYPE, bytes())
        .required(Some(Required::True));
    let stored = answers::not_stored("What became of each item.")
        .header(
            "Message-Durability",
            required("What a 201 of an item promises.", schemas::one_of(&["fsync", "replicated", "memory"])),
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
        "Ask an address for many messages",
        "At least one and up to max messages or 8 MiB, of each group at most one. JSON, or framed for whoever accepts \
         application/vnd.restante.batch.",
    );
    let linger = parameters::query(
        "linger_ms",
        "Milliseconds to wait for more messages once there is one.",
        schemas::whole(0, LINGER_MS_MAX),
    );
    let delivered = answers::of_a_stranger(answers::of_a_pull("Messages, each with a lease of its own."))
        .content("application/json", json::<PulledBatch>())
        .content(FRAMES_CONTENT_TYPE, bytes());
    let links = [
        ("settle", "The first message is done with."),
        ("renew", "The first message is needed for longer."),
        ("release", "The first message is given back."),
        ("reject", "The first message is given up."),
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
