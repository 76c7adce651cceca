//! `/v1/leases/{lease}` and `/v1/settlements`: what is done with a message that was received.

use restante_wire::{
    ProblemType as P,
    batch::{SettlementResults, Settlements},
    channel::DELAY_SECONDS_MAX,
};
use utoipa::openapi::{
    Required, ResponseBuilder,
    path::{Operation, OperationBuilder},
    request_body::RequestBodyBuilder,
};

use super::{
    answers::{self, json, operation, required, with_parameters},
    parameters,
    problems::{BODY, with_problems},
    schemas,
};

const TAG: &str = "leases";

/// What whoever names a lease can meet.
const LEASE: [P; 11] = [
    P::ParameterUnknown,
    P::BodyUnexpected,
    P::BodyIncomplete,
    P::BodyTimeout,
    P::LeaseUnknown,
    P::LeaseExpired,
    P::LeaseReleased,
    P::LeaseSuperseded,
    P::ChannelDeleted,
    P::StoreFull,
    P::StoreFailed,
];

/// `DELETE /v1/leases/{lease}`.
pub fn settle() -> Operation {
    let operation = operation(
        "settle",
        TAG,
        "Settle a message",
        "The message is done with, durably. Settling twice is as good.",
    );
    done(operation, "The message is gone.", &[])
}

/// `POST /v1/leases/{lease}/release`.
pub fn release() -> Operation {
    let operation = operation(
        "release",
        TAG,
        "Give a message back",
        "It takes its old place, at once, after the delay, or after the channel's back-off.",
    );
    let operation = operation
        .parameter(parameters::query(
            "delay",
            "Seconds for which nobody gets the message; the channel may allow fewer (limits.maxDelaySeconds).",
            schemas::whole(0, DELAY_SECONDS_MAX),
        ))
        .parameter(parameters::query("uncounted", "The hand-out does not count as a delivery.", schemas::flag()));
    done(operation, "The message is the channel's again.", &[P::ParameterMalformed, P::MessageSettled])
}

/// `POST /v1/leases/{lease}/reject`.
pub fn reject() -> Operation {
    let operation = operation("reject", TAG, "Give a message up", "It becomes a dead letter.");
    let operation = operation.parameter(parameters::query(
        "reason",
        "Why, in printable ASCII: told again with the dead letter.",
        schemas::reason(),
    ));
    done(operation, "The message is a dead letter.", &[P::ParameterMalformed])
}

/// `POST /v1/leases/{lease}/renew`.
pub fn renew() -> Operation {
    let operation = operation(
        "renew",
        TAG,
        "Keep a message for longer",
        "The lease ends that long from now, as often as it is asked for.",
    );
    let renewed = answers::not_stored("The lease goes on.")
        .header("Lease-Duration", required("Seconds that were granted.", schemas::count()))
        .header("Lease-Expires-At", required("When it ends, by the broker's clock.", schemas::moment()));
    let operation = with_parameters(operation, [parameters::lease()]).response("200", renewed.build());
    with_problems(operation, &[&LEASE, &[P::ParameterMalformed, P::MessageSettled]]).build()
}

/// `POST /v1/settlements`.
pub fn settle_many() -> Operation {
    let operation = operation(
        "settleMany",
        TAG,
        "Settle, release, reject and renew many messages",
        "Up to 1000 leases in one sync, each on its own: one result for each, in the order of the request.",
    );
    let body = RequestBodyBuilder::new()
        .description(Some("Leases: tokens, or the paths that Location said, also as absolute URLs."))
        .content("application/json", json::<Settlements>())
        .required(Some(Required::True));
    let results = ResponseBuilder::new()
        .description("What became of each lease.")
        .content("application/json", json::<SettlementResults>());
    let operation = operation.request_body(Some(body.build())).response("200", results.build());
    let refused = [P::ParameterUnknown, P::BatchTooLarge, P::MediaTypeUnsupported, P::StoreFailed];
    with_problems(operation, &[&BODY, &refused]).build()
}

fn done(operation: OperationBuilder, description: &str, problems: &[P]) -> Operation {
    let operation = operation.response("204", ResponseBuilder::new().description(description).build());
    with_problems(operation, &[&LEASE, problems]).build()
}
