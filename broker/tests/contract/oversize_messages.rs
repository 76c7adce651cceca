//! Messages above a limit that no retry can help with: 413 with the limit, by every way to push, even if the channel is
//! full. With 429 or 503 the sender would retry for ever.

use reqwest::{Client, Method, RequestBuilder, Response};
use restante_wire::{Address, ChannelConfig, Problem, ProblemType, batch::PushResults, channel::WhenFull};
use serde_json::json;

use crate::{
    broker::{Broker, assert_problem},
    operator::{channel, orders, with_channels, with_channels_and_flags},
    policies::stats,
    raw,
};

const MIB: usize = 1 << 20;

/// A channel with this limit for a message, and for all messages together.
fn small(name: &str, bytes: u64) -> ChannelConfig {
    let mut small = channel(name);
    (small.limits.bytes, small.limits.message_bytes) = (bytes, bytes);
    small
}

/// A channel that accepts bodies of up to 16 MiB.
fn large() -> ChannelConfig {
    orders(|orders| orders.limits.message_bytes = 16 << 20)
}

/// A push whose body fits the channel, and does not with its kept headers.
fn with_headers(push: RequestBuilder) -> RequestBuilder {
    push.header("meta-long", "m".repeat(200))
}

/// Asserts the refusal of a message: the detail names the limit, and there is no `Retry-After`.
async fn refused(response: Response, limit: &str) -> Problem {
    assert!(!response.headers().contains_key("retry-after"), "{response:?}");
    let problem = assert_problem(response, 413, ProblemType::MessageTooLarge).await;
    assert!(problem.detail.contains(limit), "{} does not name {limit}", problem.detail);
    problem
}

/// A push in chunks, whose head has no length.
async fn push_in_chunks(broker: &Broker, headers: &str, content: &[u8]) -> raw::Answer {
    let head = format!(
        "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\n{headers}transfer-encoding: chunked\r\n\r\n"
    );
    let chunks = content
        .chunks(100_000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, &b"\r\n"[..]].concat());
    let request: Vec<u8> = head.into_bytes().into_iter().chain(chunks).chain(*b"0\r\n\r\n").collect();
    raw::answer(&mut raw::sent(broker, request).await).await
}

fn over_http_2(broker: &Broker) -> RequestBuilder {
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    client.post(format!("http://{}/v1/messages/acme/orders", broker.data()))
}

/// The detail of the only refusal of a batch.
async fn refused_in_a_batch(broker: &Broker, content: &str, headers: serde_json::Value) -> String {
    let batch = json!({"messages": [{"content": "fits"}, {"content": content, "headers": headers}]});
    let response = broker.request(Method::POST, "/v1/batches/acme/orders").json(&batch).send().await.unwrap();
    let results = response.json::<PushResults>().await.unwrap().results;
    assert_eq!((results[0].status, results[1].status), (201, 413), "{results:?}");
    results[1].problem.as_ref().unwrap().detail.clone()
}

#[tokio::test]
async fn a_message_larger_than_its_whole_channel_is_413_by_every_way_to_push() {
    let broker = with_channels(&[small("orders", 1000)]).await;
    let content = "x".repeat(900);
    let limit = "1000 bytes (limits.bytes)";
    refused(with_headers(broker.push("acme/orders", content.clone())).send().await.unwrap(), limit).await;
    let waits = broker.push("acme/orders", content.clone()).header("prefer", "wait=20");
    refused(with_headers(waits).send().await.unwrap(), limit).await;
    let keyed = broker.push("acme/orders", content.clone()).header("idempotency-key", "k");
    refused(with_headers(keyed).send().await.unwrap(), limit).await;
    refused(with_headers(over_http_2(&broker)).body(content.clone()).send().await.unwrap(), limit).await;
    let meta = format!("meta-long: {}\r\n", "m".repeat(200));
    let chunked = push_in_chunks(&broker, &meta, content.as_bytes()).await;
    assert_eq!(chunked.status, 413, "{}", chunked.head);
    let detail = refused_in_a_batch(&broker, &content, json!({"meta-long": "m".repeat(200)})).await;
    assert!(detail.contains(limit), "{detail}");
    assert_eq!(stats(&broker, "orders").await.messages(), 1);
}

#[tokio::test]
async fn a_reply_larger_than_its_whole_channel_is_413() {
    let broker = with_channels(&[channel("orders"), small("answers", 1000)]).await;
    let question = broker.push("acme/orders", "?").header("reply-to", "/v1/messages/acme/answers");
    assert_eq!(question.header("correlation-id", "7").send().await.unwrap().status(), 201);
    let reply = broker.push("acme/answers", "x".repeat(900)).header("correlation-id", "7");
    refused(with_headers(reply).send().await.unwrap(), "limits.bytes").await;
}

#[tokio::test]
async fn a_message_larger_than_its_whole_channel_is_413_even_if_the_channel_is_full() {
    for when_full in [WhenFull::Reject, WhenFull::DropOldest] {
        let mut orders = small("orders", 1000);
        (orders.limits.messages, orders.when_full) = (1, when_full);
        let broker = with_channels(&[orders]).await;
        broker.pushed("acme/orders", "first").await;
        refused(
            with_headers(broker.push("acme/orders", "x".repeat(900))).send().await.unwrap(),
            "limits.bytes",
        )
        .await;
        assert_eq!(stats(&broker, "orders").await.messages(), 1, "nothing goes for it");
    }
}

#[tokio::test]
async fn a_message_larger_than_one_channel_of_a_shared_destination_is_413_on_any_number_of_cores() {
    for cores in ["1", "3"] {
        let three = ["one", "two", "three"].map(|name| {
            let mut shared = small(name, if name == "three" { 1000 } else { 1_000_000 });
            shared.destinations.push(Address::new("acme", "all").unwrap());
            shared.shared_destination = true;
            // A retry would not help, although the first of them is full.
            shared.limits.messages = if name == "one" { 1 } else { 100 };
            shared
        });
        let broker = with_channels_and_flags(&three, &["--cores", cores]).await;
        broker.pushed("acme/one", "first").await;
        let push = || with_headers(broker.push("acme/all", "x".repeat(900)));
        let problem = refused(push().send().await.unwrap(), "limits.bytes").await;
        assert!(problem.detail.contains("acme/three"), "{}", problem.detail);
        refused(push().header("prefer", "wait=20").send().await.unwrap(), "acme/three").await;
        assert_eq!(stats(&broker, "two").await.messages(), 0);
    }
}

#[tokio::test]
async fn a_message_larger_than_a_segment_is_413_even_if_the_channel_is_full() {
    let mut orders = large();
    orders.limits.messages = 1;
    let broker = with_channels_and_flags(&[orders], &["--segment-size", "1MiB"]).await;
    broker.pushed("acme/orders", "first").await;
    // The first would fit without the rest of its record.
    for length in [MIB - 100, 2 * MIB] {
        let push = broker.push("acme/orders", "x".repeat(length));
        refused(push.send().await.unwrap(), "--segment-size").await;
    }
}

#[tokio::test]
async fn a_message_larger_than_the_body_memory_is_413_and_the_largest_that_fits_is_stored() {
    let broker = with_channels_and_flags(&[large()], &["--body-memory", "1MiB"]).await;
    let (fits, beyond) = ("x".repeat(MIB), "x".repeat(MIB + 1));
    refused(broker.push("acme/orders", beyond.clone()).send().await.unwrap(), "--body-memory").await;
    refused(over_http_2(&broker).body(beyond.clone()).send().await.unwrap(), "--body-memory").await;
    let chunked = push_in_chunks(&broker, "", beyond.as_bytes()).await;
    assert_eq!(chunked.status, 413, "{}", chunked.head);
    broker.pushed("acme/orders", fits.clone()).await;
    assert_eq!(push_in_chunks(&broker, "", fits.as_bytes()).await.status, 201);
    let batch = |length: usize| {
        let batch = json!({"messages": [{"content": "x".repeat(length)}]});
        broker.request(Method::POST, "/v1/batches/acme/orders").json(&batch).send()
    };
    let problem = assert_problem(batch(MIB / 2).await.unwrap(), 413, ProblemType::BatchTooLarge).await;
    assert!(problem.detail.contains("--body-memory"), "{}", problem.detail);
    assert_eq!(batch(MIB / 2 - 100).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_message_larger_than_the_answer_memory_is_413_and_the_largest_that_fits_is_delivered() {
    let broker = with_channels_and_flags(&[large()], &["--answer-memory", "1MiB"]).await;
    let limit = "--answer-memory";
    refused(broker.push("acme/orders", "x".repeat(MIB + 1)).send().await.unwrap(), limit).await;
    let detail = refused_in_a_batch(&broker, &"x".repeat(MIB + 1), json!({})).await;
    assert!(detail.contains(limit), "{detail}");
    assert_eq!(
        broker.pull_with_ack_auto("acme/orders", "wait=5").send().await.unwrap().text().await.unwrap(),
        "fits"
    );
    // Its kept headers count as well.
    let largest = "x".repeat(MIB - 200);
    broker.pushed("acme/orders", largest.clone()).await;
    assert_eq!(broker.pulled("acme/orders").await.0, largest.as_bytes());
}
