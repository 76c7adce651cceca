//! Request headers that a channel keeps besides the standard ones: the metadata of webhooks.

use reqwest::{Method, StatusCode};
use restante_wire::{
    Address, ProblemType,
    batch::{PeekedBatch, PulledBatch, PushResults},
    channel::KeepHeaders,
};

use crate::{
    broker::{Broker, assert_problem, header},
    operator::{channel, orders, put, with_channels, with_orders},
};

fn keep(patterns: &[&str]) -> KeepHeaders {
    patterns.iter().copied().collect()
}

async fn webhooks() -> Broker {
    with_orders(|orders| orders.keep_headers = keep(&["x-github-*", "x-hub-signature-256"])).await
}

#[tokio::test]
async fn headers_of_a_webhook_are_kept_if_the_channel_names_them_and_others_are_not() {
    let mut broker = webhooks().await;
    let push = broker.push("acme/orders", "{}").header("content-type", "application/json");
    let push = push.header("X-GitHub-Event", "push").header("x-github-delivery", "72d3");
    let push = push.header("x-hub-signature-256", "sha256=abc").header("x-other", "not kept");
    assert_eq!(push.send().await.unwrap().status(), StatusCode::CREATED);
    broker.kill();
    broker.start();
    let response = broker.pull("acme/orders", "wait=5").send().await.unwrap();
    assert_eq!(header(&response, "x-github-event"), "push");
    assert_eq!(header(&response, "x-github-delivery"), "72d3");
    assert_eq!(header(&response, "x-hub-signature-256"), "sha256=abc");
    assert!(response.headers().get("x-other").is_none());
}

#[tokio::test]
async fn items_of_a_batch_keep_the_headers_named_by_the_channel_in_pushes_and_pulls() {
    let broker = webhooks().await;
    let batch = r#"{"messages": [
        {"content": "{}", "headers": {"X-GitHub-Event": "push"}},
        {"content": "{}", "headers": {"x-other": "not kept"}}
    ]}"#;
    let push = broker.request(Method::POST, "/v1/batches/acme/orders").body(batch);
    let response = push.header("content-type", "application/json").send().await.unwrap();
    let PushResults { results } = response.json().await.unwrap();
    assert_eq!(results.iter().map(|result| result.status).collect::<Vec<_>>(), [201, 400]);
    let peek = broker.request(Method::GET, "/v1/peek/acme/orders").send().await.unwrap();
    let peeked: PeekedBatch = peek.json().await.unwrap();
    let pull = broker.request(Method::GET, "/v1/batches/acme/orders?wait=5").send().await.unwrap();
    let pulled: PulledBatch = pull.json().await.unwrap();
    for messages in [peeked.messages, pulled.messages] {
        let values: Vec<_> = messages[0].headers["x-github-event"].iter().collect();
        assert_eq!(values, ["push"]);
    }
}

#[tokio::test]
async fn baggage_is_kept_by_every_channel() {
    let broker = with_orders(|_| ()).await;
    let push = broker.push("acme/orders", "x").header("baggage", "userId=alice");
    assert_eq!(push.send().await.unwrap().status(), StatusCode::CREATED);
    let response = broker.pull("acme/orders", "wait=5").send().await.unwrap();
    assert_eq!(header(&response, "baggage"), "userId=alice");
}

#[tokio::test]
async fn a_header_kept_by_one_channel_of_a_shared_destination_is_delivered_by_all() {
    let [one, two] = ["one", "two"].map(|name| {
        let mut channel = channel(name);
        channel.destinations.push(Address::new("acme", "all").unwrap());
        channel.shared_destination = true;
        channel
    });
    let mut one = one;
    one.keep_headers = keep(&["webhook-*"]);
    let broker = with_channels(&[one, two]).await;
    let push = broker.push("acme/all", "x").header("webhook-id", "msg_1").send().await.unwrap();
    assert_eq!(push.status(), StatusCode::CREATED);
    for source in ["acme/one", "acme/two"] {
        let response = broker.pull(source, "wait=5").send().await.unwrap();
        assert_eq!(header(&response, "webhook-id"), "msg_1", "{source}");
    }
}

#[tokio::test]
async fn a_repeat_with_a_new_signature_header_is_the_same_push() {
    let broker = with_orders(|orders| orders.keep_headers = keep(&["stripe-signature"])).await;
    let push = |signature: &str| {
        broker
            .push("acme/orders", "x")
            .header("idempotency-key", "evt_1")
            .header("stripe-signature", signature)
            .send()
    };
    let first = header(&push("t=1,v1=a").await.unwrap(), "message-id");
    let again = push("t=2,v1=b").await.unwrap();
    assert_eq!(header(&again, "message-id"), first);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
}

#[tokio::test]
async fn headers_kept_by_the_channel_count_against_the_limit_of_kept_headers() {
    let broker = webhooks().await;
    let push = broker.push("acme/orders", "x").header("x-github-event", "e".repeat(2048));
    assert_problem(push.send().await.unwrap(), 431, ProblemType::HeadersTooLarge).await;
}

#[tokio::test]
async fn a_channel_that_would_keep_a_forbidden_header_is_refused_with_the_pattern() {
    let broker = with_orders(|_| ()).await;
    for pattern in ["authorization", "x-*", "message-*", "location", "X-GitHub-Event"] {
        let response = put(&broker, &orders(|orders| orders.keep_headers = keep(&[pattern]))).await;
        let problem = assert_problem(response, 400, ProblemType::ChannelInvalid).await;
        assert!(problem.detail.contains("keepHeaders") && problem.detail.contains(pattern), "{problem}");
    }
}
