//! `/v1/peek/{address}` and `/v1/channels/{namespace}/{name}`: peeking at messages and statistics, without leasing.

use restante_wire::{ChannelStats, ProblemType as P, batch::PeekedBatch};
use utoipa::openapi::{ResponseBuilder, path::Operation};

use super::{
    answers::{self, json, operation},
    messages::counted,
    parameters,
    problems::{ADDRESS, with_problems},
    schemas,
};

const TAG: &str = "peek";

/// `GET /v1/peek/{address}`.
pub fn peek() -> Operation {
    let operation = operation(
        "peek",
        TAG,
        "Inspect the messages of an address",
        "Returns messages without leasing them; it does not count as a delivery.",
    );
    let operation = operation
        .parameter(parameters::query(
            "state",
            "The state of the messages; default ready. dead-letters lists the dead letters of the channel, also those \
             in its dead-letter channel, and the dead letters of other channels that are stored in it; an answer may \
             have no message and still a next.",
            schemas::one_of(&["ready", "leased", "delayed", "dead", "dead-letters"]),
        ))
        .parameter(parameters::query(
            "after",
            "Where to continue: the field next of an earlier answer, unchanged.",
            schemas::cursor(),
        ))
        .parameter(parameters::max_messages());
    let seen = answers::not_stored("The messages, and where to continue.")
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
    let operation = operation(
        "channel",
        TAG,
        "The counts of a channel",
        "One JSON object, for example for an autoscaler.",
    );
    let counts = ResponseBuilder::new()
        .description("The current counts.")
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
pub fn channel_head() -> Operation {
    let mut operation = channel();
    operation.operation_id = Some("channelHead".into());
    operation.summary = Some("Whether the channel exists".into());
    operation
}
