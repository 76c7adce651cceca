//! `/v1/leases/{lease}` and `/v1/settlements`: settling, renewing, releasing and rejecting received messages.

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

/// The problems of every operation on a lease.
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
        "Removes the message from its channel, durably. Settling it again is answered the same.",
    );
    done(operation, "The message is gone.", &[])
}

/// `POST /v1/leases/{lease}/release`.
pub fn release() -> Operation {
    let operation = operation(
        "release",
        TAG,
        "Release a message",
        "The message is ready again in its old place, after the given delay or, without one, after the channel's \
         back-off.",
    );
    let operation = operation
        .parameter(parameters::query(
            "delay",
            "Seconds until the message is ready again; the channel's limits.maxDelaySeconds is the maximum. Without \
             it, the channel's back-off.",
            schemas::whole_number(0, DELAY_SECONDS_MAX),
        ))
        .parameter(parameters::query("uncounted", "true: this delivery does not count towards \
                                                   maxDeliveries.", schemas::flag()));
    done(operation, "The message is released.", &[P::ParameterMalformed, P::MessageSettled])
}

/// `POST /v1/leases/{lease}/reject`.
pub fn reject() -> Operation {
    let operation = operation("reject", TAG, "Reject a message", "The message becomes a dead letter.");
    let operation = operation.parameter(parameters::query(
        "reason",
        "The reason, in printable ASCII; returned with the dead letter.",
        schemas::reason(),
    ));
    done(operation, "The message is a dead letter.", &[P::ParameterMalformed])
}

/// `POST /v1/leases/{lease}/renew`.
pub fn renew() -> Operation {
    let operation = operation(
        "renew",
        TAG,
        "Renew a lease",
        "The lease then ends the given time from now. The number of renewals is not limited.",
    );
    let renewed = answers::not_stored("The lease is renewed.")
        .header("Lease-Duration", required("The granted duration, in seconds.", schemas::count()))
        .header(
            "Lease-Expires-At",
            required("When the lease ends, by the broker's clock.", schemas::moment()),
        );
    let operation = with_parameters(operation, [parameters::lease()]).response("200", renewed.build());
    with_problems(operation, &[&LEASE, &[P::ParameterMalformed, P::MessageSettled]]).build()
}

/// `POST /v1/settlements`.
pub fn settle_many() -> Operation {
    let operation = operation(
        "settleMany",
        TAG,
        "Settle, release, reject and renew many leases",
        "Up to 1000 leases, with one sync of the disk and independent of each other: one result for each lease, in the \
         order of the request.",
    );
    let body = RequestBodyBuilder::new()
        .description(Some("The leases: tokens, or values of Location, also as absolute URLs."))
        .content("application/json", json::<Settlements>())
        .required(Some(Required::True));
    let results = ResponseBuilder::new()
        .description("The result of each lease.")
        .content("application/json", json::<SettlementResults>());
    let operation = operation.request_body(Some(body.build())).response("200", results.build());
    let refused = [P::ParameterUnknown, P::BatchTooLarge, P::MediaTypeUnsupported, P::StoreFailed];
    with_problems(operation, &[&BODY, &refused]).build()
}

fn done(operation: OperationBuilder, description: &str, problems: &[P]) -> Operation {
    let operation = operation.response("204", ResponseBuilder::new().description(description).build());
    with_problems(operation, &[&LEASE, problems]).build()
}
