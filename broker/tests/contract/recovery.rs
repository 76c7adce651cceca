//! Recovery of a broker that was killed.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::{
    broker::{Broker, ORDERS, assert_problem, header},
    operator::{channel, put, with_channels},
};

#[tokio::test]
async fn after_a_kill_acknowledged_messages_exist_and_settled_ones_do_not() {
    let mut broker = Broker::serving(ORDERS);
    for number in 0..30 {
        broker.pushed("acme/orders", number.to_string()).await;
    }
    for _ in 0..10 {
        let (_, lease) = broker.pulled("acme/orders").await;
        broker.request(Method::DELETE, &lease).send().await.unwrap();
    }
    for _ in 0..3 {
        broker.kill();
        broker.start();
    }
    for number in 10..30 {
        assert_eq!(broker.pulled("acme/orders").await.0, number.to_string().into_bytes());
    }
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_lease_continues_after_a_restart() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.kill();
    broker.start();
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "the message is still leased");
    let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_delivery_count_survives_a_restart_and_no_lease_token_is_issued_twice() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let (_, first) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{first}/release?delay=0")).send().await.unwrap();
    broker.kill();
    broker.start();
    let again = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&again, "message-deliveries"), "2");
    assert_ne!(header(&again, "location"), first);
    let response = broker.request(Method::DELETE, &first).send().await.unwrap();
    assert_problem(response, 410, ProblemType::LeaseSuperseded).await;
}

#[tokio::test]
async fn segments_are_reclaimed_and_their_live_messages_and_keys_are_kept() {
    let mut broker = Broker::serving(&ORDERS.replace("messages: 100", "messages: 10000"));
    broker.push("acme/orders", "the oldest").header("idempotency-key", "k").send().await.unwrap();
    let (_, oldest) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{oldest}/renew?lease=3600")).send().await.unwrap();
    broker.push("acme/orders", "settled").header("idempotency-key", "of-a-settled-one").send().await.unwrap();
    let (_, settled) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &settled).send().await.unwrap();
    // 64 MB through segments of 4 MiB.
    for _ in 0..64 {
        broker.pushed("acme/orders", vec![7; 1 << 20]).await;
        let (_, lease) = broker.pulled("acme/orders").await;
        broker.request(Method::DELETE, &lease).send().await.unwrap();
    }
    let bytes = broker.metric("restante_store_bytes").await;
    assert!(bytes < 48e6, "{bytes} bytes are in use");
    broker.kill();
    broker.start();
    for (key, content) in [("k", "the oldest"), ("of-a-settled-one", "settled")] {
        let again = broker.push("acme/orders", content).header("idempotency-key", key).send().await.unwrap();
        assert_eq!(header(&again, "idempotency-replayed"), "true", "{key}");
    }
    let response = broker.request(Method::POST, &format!("{oldest}/release?delay=0")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "2");
    assert_eq!(response.text().await.unwrap(), "the oldest");
}

/// Pushes and settles enough in another channel that every earlier segment is freed.
async fn all_segments_are_freed(broker: &Broker) {
    for _ in 0..24 {
        broker.pushed("acme/others", vec![7; 1 << 20]).await;
        let (_, lease) = broker.pulled("acme/others").await;
        broker.request(Method::DELETE, &lease).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_settled_lease_stays_settled_after_every_record_of_its_channel_was_freed() {
    let mut broker = with_channels(&[channel("orders"), channel("others")]).await;
    broker.pushed("acme/orders", "x").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    all_segments_are_freed(&broker).await;
    broker.kill();
    broker.start();
    let again = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    let release = broker.request(Method::POST, &format!("{lease}/release")).send().await.unwrap();
    assert_problem(release, 410, ProblemType::MessageSettled).await;
}

#[tokio::test]
async fn an_idempotency_key_reused_after_its_window_survives_compaction_of_the_first_message() {
    let mut orders = channel("orders");
    orders.deduplication_window_seconds = 1;
    let mut broker = with_channels(&[orders.clone(), channel("others")]).await;
    let push = |broker: &Broker, content: &'static str| {
        broker.push("acme/orders", content).header("idempotency-key", "k").send()
    };
    push(&broker, "first").await.unwrap();
    orders.deduplication_window_seconds = 300;
    put(&broker, &orders).await;
    let second = loop {
        let response = push(&broker, "second").await.unwrap();
        if response.status() == StatusCode::CREATED {
            break header(&response, "message-id");
        }
        assert_problem(response, 422, ProblemType::IdempotencyMismatch).await;
    };
    all_segments_are_freed(&broker).await;
    broker.kill();
    broker.start();
    assert_eq!(header(&push(&broker, "second").await.unwrap(), "message-id"), second);
}
