//! Headers of the contract on routes where they have no effect, and unknown names with its prefixes: on every route.

use reqwest::header::ACCEPT;
use restante_wire::{ProblemType as P, header::ANSWERED};

use super::{
    Outcome::{Accepted, Refused},
    assert_outcome,
    requests::{broker, of, operations},
};

/// The headers that some routes support.
const SUPPORTED: [&str; 7] = [
    "Idempotency-Key",
    "Message-Group",
    "Message-Delay",
    "Message-TTL",
    "Acknowledge",
    "Receive-Attempt-Id",
    "Restante-Settle",
];
/// Names with the contract's own prefixes.
const UNKNOWN: [&str; 5] =
    ["Message-Dely", "Message-Nonsense", "Idempotency-Keys", "Restante-Setle", "Restante-Nonsense"];
/// Operations that may be repeated without a key.
const REPEATABLE: [&str; 5] = ["settle", "release", "reject", "renew", "settleMany"];

#[tokio::test]
async fn a_contract_header_that_is_unknown_or_without_effect_on_its_route_is_refused() {
    let broker = broker().await;
    let operations = operations(&broker).await;
    for operation in &operations {
        let described = operation.parameters("header");
        for name in SUPPORTED.iter().chain(&UNKNOWN) {
            if described.iter().any(|known| known == name) {
                continue;
            }
            let cell = format!("{} {name}", operation.id);
            let response = operation.request(&broker, "").await.header(*name, "1").send().await.unwrap();
            let is_ignored = *name == "Idempotency-Key" && REPEATABLE.contains(&&*operation.id);
            if is_ignored || operation.ignores_parameters() {
                assert_outcome(&cell, response, Accepted(operation.status())).await;
            } else if operation.id.starts_with("count")
                || ["documentHead", "channelHead"].contains(&&*operation.id)
            {
                // An answer to HEAD has no body.
                assert_eq!(response.status(), 400, "{cell}");
            } else {
                assert_outcome(&cell, response, Refused(P::HeaderMalformed)).await;
            }
        }
        // A proxy forwards the headers that it got.
        let request = operation.request(&broker, "").await;
        let request = ANSWERED.iter().fold(request, |request, name| request.header(*name, "1"));
        assert_outcome(&operation.id, request.send().await.unwrap(), Accepted(operation.status())).await;
    }
}

#[tokio::test]
async fn a_stream_and_a_batch_refuse_headers_that_only_a_pull_or_a_push_supports() {
    let broker = broker().await;
    let operations = operations(&broker).await;
    for name in SUPPORTED {
        let request = of(&operations, "pull").request(&broker, "").await;
        let request = request.header(ACCEPT, "text/event-stream").header(name, "1");
        assert_outcome(&format!("stream {name}"), request.send().await.unwrap(), Refused(P::HeaderMalformed))
            .await;
    }
    for name in ["Meta-a", "ce-id"] {
        let request = of(&operations, "pushBatch").request(&broker, "").await.header(name, "1");
        assert_outcome(&format!("batch {name}"), request.send().await.unwrap(), Refused(P::HeaderMalformed))
            .await;
    }
}
