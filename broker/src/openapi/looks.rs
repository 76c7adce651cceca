//! `/v1/peek/{address}` and `/v1/channels/{namespace}/{name}`: looking without taking.

use restante_wire::{ChannelStats, ProblemType as P, batch::PeekedBatch};
use utoipa::openapi::{ResponseBuilder, path::Operation};

use super::{
    answers::{self, json, operation},
    messages::counted,
    parameters,
    problems::{ADDRESS, with_problems},
    schemas,
};

const TAG: &str = "looks";

/// `GET /v1/peek/{address}`.
pub fn peek() -> Operation {
    let operation = operation(
        "peek",
        TAG,
        "Look at an address's messages",
        "Reads without a lease, and counts as nothing.",
    );
    let operation = operation
        .parameter(parameters::query(
            "state",
            "Of which state; ready when it is not said. dead-letters: the dead letters of the channel wherever they lie, and \
             those of others that lie in it; an answer may have none and a next.",
            schemas::one_of(&["ready", "leased", "delayed", "dead", "dead-letters"]),
        ))
        .parameter(parameters::query(
            "after",
            "Where to go on: the field next of an answer before, as it is.",
            schemas::cursor(),
        ))
        .parameter(parameters::max_messages());
    let seen = answers::not_stored("Messages, and where to go on.")
        .content("application/json", json::<PeekedBatch>());
    let operation = operation.response("200", seen.build());
    let refused = [
        P::ParameterMalformed,
        P::ParameterUnknown,
        P::BodyUnexpected,
        P::BodyIncomplete,
        P::BodyTimeout,
        P::StoreFailed,
    ];
    with_problems(operation, &[&ADDRESS, &refused]).build()
}

/// `HEAD /v1/peek/{address}`.
pub fn count_peek() -> Operation {
    counted("countPeek", TAG)
}

/// `GET /v1/channels/{namespace}/{name}`.
pub fn channel() -> Operation {
    let operation = operation("channel", TAG, "A channel's counts", "One object, what an autoscaler reads.");
    let counts = ResponseBuilder::new()
        .description("The counts at this moment.")
        .content("application/json", json::<ChannelStats>());
    let operation = operation.response("200", counts.build());
    let refused = [
        P::AddressMalformed,
        P::AddressUnknown,
        P::NotProgrammed,
        P::ParameterUnknown,
        P::BodyUnexpected,
        P::BodyIncomplete,
        P::BodyTimeout,
    ];
    with_problems(operation, &[&refused]).build()
}

/// `HEAD /v1/channels/{namespace}/{name}`.
pub fn look_for_channel() -> Operation {
    let mut operation = channel();
    operation.operation_id = Some("lookForChannel".into());
    operation.summary = Some("Whether there is such a channel".into());
    operation
}
