//! Lease operations: each row of the contract's table of states, over the wire.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem, header};

/// One second is the shortest lease.
const SHORT: &str = "wait=5&lease=1";

async fn leased(broker: &Broker, query: &str) -> String {
    header(&broker.pull("acme/orders", query).send().await.unwrap(), "location")
}

/// The answers of DELETE, reject, release and renew for a lease: a status, and the problem if there is one.
async fn verdicts(broker: &Broker, lease: &str) -> [(u16, Option<ProblemType>); 4] {
    let requests = [
        (Method::DELETE, ""),
        (Method::POST, "/reject"),
        (Method::POST, "/release"),
        (Method::POST, "/renew"),
    ];
    let mut verdicts = Vec::new();
    for (method, suffix) in requests {
        let response = broker.request(method, &format!("{lease}{suffix}")).send().await.unwrap();
        let status = response.status().as_u16();
        let problem: Option<restante_wire::Problem> = response.json().await.ok();
        verdicts.push((status, problem.and_then(|problem| problem.problem_type())));
    }
    verdicts.try_into().unwrap()
}

#[tokio::test]
async fn a_settled_message_is_not_delivered_again() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let lease = leased(&broker, "lease=1").await;
    let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    // Its lease would have ended within this wait.
    let response = broker.pull("acme/orders", "wait=2").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let gone = Some(ProblemType::MessageSettled);
    assert_eq!(verdicts(&broker, &lease).await, [(204, None), (204, None), (410, gone), (410, gone)]);
}

#[tokio::test]
async fn a_released_message_is_ready_at_once_and_its_lease_can_only_be_released_again() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let lease = leased(&broker, "").await;
    let response = broker.request(Method::POST, &format!("{lease}/release?delay=0")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let released = Some(ProblemType::LeaseReleased);
    assert_eq!(
        verdicts(&broker, &lease).await,
        [(410, released), (410, released), (204, None), (410, released)]
    );
    let again = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&again, "message-deliveries"), "2");
    let superseded = Some(ProblemType::LeaseSuperseded);
    assert_eq!(verdicts(&broker, &lease).await, [(410, superseded); 4]);
}

#[tokio::test]
async fn a_message_whose_lease_expires_goes_to_the_waiting_receiver() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let lease = leased(&broker, SHORT).await;
    // This receiver waits before the lease ends, and gets the message when it does.
    let again = broker.pull("acme/orders", "wait=10&lease=1").send().await.unwrap();
    assert_eq!(header(&again, "message-deliveries"), "2");
    let superseded = Some(ProblemType::LeaseSuperseded);
    assert_eq!(verdicts(&broker, &lease).await, [(410, superseded); 4]);
    broker
        .wait_for_metric(
            "restante_channel_messages{namespace=\"acme\",channel=\"orders\",state=\"ready\"}",
            1.0,
        )
        .await;
    let lease = header(&again, "location");
    let expired = Some(ProblemType::LeaseExpired);
    assert_eq!(verdicts(&broker, &lease).await, [(410, expired); 4]);
}

#[tokio::test]
async fn a_renewed_lease_does_not_expire_at_its_first_end() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let lease = leased(&broker, SHORT).await;
    let response = broker.request(Method::POST, &format!("{lease}/renew?lease=60")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "lease-duration"), "60");
    assert!(header(&response, "lease-expires-at").ends_with('Z'));
    let response =
        broker.pull("acme/orders", "wait=2").timeout(Duration::from_secs(10)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "the renewed message must not come back");
    assert_eq!(broker.request(Method::DELETE, &lease).send().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_lease_that_was_never_issued_is_404() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let lease = leased(&broker, "").await;
    // The middle of the token, which the seal covers; the last character has bits that base64url ignores.
    let mut changed = lease.clone().into_bytes();
    let middle = changed.len() - 10;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for token in [changed.as_str(), "/v1/leases/nonsense", "/v1/leases/%00", "/v1/leases/..."] {
        let response = broker.request(Method::DELETE, token).send().await.unwrap();
        assert_problem(response, 404, ProblemType::LeaseUnknown).await;
    }
    assert_eq!(broker.request(Method::DELETE, &lease).send().await.unwrap().status(), StatusCode::NO_CONTENT);
}
