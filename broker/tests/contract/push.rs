//! The push adapter.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem, header};

#[tokio::test]
async fn a_201_has_the_message_id_and_the_durability() {
    let broker = Broker::serving(ORDERS);
    let response = broker.push("acme/orders", "content").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "message-durability"), "fsync");
    assert_eq!(header(&response, "message-id").len(), 36);
    assert!(response.headers().get("idempotency-replayed").is_none());
}

#[tokio::test]
async fn a_pull_returns_every_byte_of_the_body_with_its_headers() {
    let broker = Broker::serving(ORDERS);
    let every_byte: Vec<u8> = (0..=255).collect();
    for content in [Vec::new(), every_byte, vec![0xa5; 1 << 20]] {
        let response = broker
            .push("acme/orders", content.clone())
            .header("content-type", "application/x-of-our-own; version=1")
            .header("content-encoding", "identity")
            .header("content-language", "ar")
            .header("ce-id", "42")
            .header("meta-colour", "red")
            .header("reply-to", "acme/answers")
            .header("correlation-id", "c-1")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .header("x-other", "not kept")
            .send()
            .await
            .unwrap();
        let id = header(&response, "message-id");
        let response = broker.pull("acme/orders", "wait=5").send().await.unwrap();
        assert_eq!(header(&response, "message-id"), id);
        assert_eq!(header(&response, "content-type"), "application/x-of-our-own; version=1");
        assert_eq!(header(&response, "content-encoding"), "identity");
        assert_eq!(header(&response, "content-language"), "ar");
        assert_eq!(header(&response, "ce-id"), "42");
        assert_eq!(header(&response, "meta-colour"), "red");
        assert_eq!(header(&response, "reply-to"), "acme/answers");
        assert_eq!(header(&response, "correlation-id"), "c-1");
        assert!(header(&response, "traceparent").starts_with("00-0af7"));
        assert!(response.headers().get("x-other").is_none());
        assert_eq!(response.bytes().await.unwrap(), content);
    }
}

#[tokio::test]
async fn a_repeat_under_the_same_key_gets_the_first_answer_and_stores_nothing() {
    let broker = Broker::serving(ORDERS);
    let push = || broker.push("acme/orders", "once").header("idempotency-key", "\"key-1\"").send();
    let first = header(&push().await.unwrap(), "message-id");
    let second = push().await.unwrap();
    assert_eq!(second.status(), StatusCode::CREATED);
    assert_eq!(header(&second, "message-id"), first);
    assert_eq!(header(&second, "idempotency-replayed"), "true");
    assert_eq!(broker.metric("restante_messages_pushed_total").await, 1.0);
}

#[tokio::test]
async fn an_idempotency_key_survives_the_settle_of_its_message_and_a_restart() {
    let mut broker = Broker::serving(ORDERS);
    let first = broker.push("acme/orders", "once").header("idempotency-key", "k").send().await.unwrap();
    let first = header(&first, "message-id");
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    broker.kill();
    broker.start();
    let again = broker.push("acme/orders", "once").header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(header(&again, "message-id"), first);
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_full_channel_is_429_and_accepts_pushes_after_a_settle() {
    let broker = Broker::serving(&ORDERS.replace("messages: 100", "messages: 2"));
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    let response = broker.push("acme/orders", "3").send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "5");
    let problem = assert_problem(response, 429, ProblemType::ChannelFull).await;
    assert!(problem.detail.contains("1 ready, 1 leased, 0 delayed and 0 dead"), "{}", problem.detail);
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    broker.pushed("acme/orders", "3").await;
}

#[tokio::test]
async fn a_push_above_the_channels_limit_of_bytes_is_429() {
    let limits = "bytes: 1000, messageBytes: 1000";
    let broker = Broker::serving(&ORDERS.replace("messages: 100, messageBytes: 1Mi", limits));
    broker.pushed("acme/orders", vec![0; 900]).await;
    assert_problem(
        broker.push("acme/orders", vec![0; 101]).send().await.unwrap(),
        429,
        ProblemType::ChannelFull,
    )
    .await;
    broker.pushed("acme/orders", vec![0; 100]).await;
}

#[tokio::test]
async fn a_repeat_of_a_push_with_a_delay_of_0_matches_a_push_without_a_delay() {
    let broker = Broker::serving(ORDERS);
    let push = |delay: Option<u32>| {
        let request = broker.push("acme/orders", "x").header("idempotency-key", "k");
        delay.into_iter().fold(request, |request, delay| request.header("message-delay", delay)).send()
    };
    assert_eq!(push(None).await.unwrap().status(), StatusCode::CREATED);
    let again = push(Some(0)).await.unwrap();
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    let batch = r#"{"messages": [{"content": "x", "idempotencyKey": "k", "delaySeconds": 0}]}"#;
    let request =
        broker.request(Method::POST, "/v1/batches/acme/orders").header("content-type", "application/json");
    let results: restante_wire::batch::PushResults =
        request.body(batch).send().await.unwrap().json().await.unwrap();
    assert!(results.results[0].replayed, "{results:?}");
    assert_problem(push(Some(1)).await.unwrap(), 422, ProblemType::IdempotencyMismatch).await;
}
