//! Push to a destination that several channels share: all of them store the message, or none does.

use reqwest::{Method, StatusCode};
use restante_wire::{Address, ChannelConfig, ProblemType};

use crate::{
    broker::{Broker, assert_problem, header},
    operator::{channel, with_channels},
    policies::stats,
};

/// Three channels that share the destination `acme/all`.
fn three(change: impl Fn(&mut ChannelConfig)) -> Vec<ChannelConfig> {
    ["one", "two", "three"]
        .map(|name| {
            let mut channel = channel(name);
            channel.destinations.push(Address::new("acme", "all").unwrap());
            channel.shared_destination = true;
            channel.delivery.backoff.initial_seconds = 0;
            change(&mut channel);
            channel
        })
        .to_vec()
}

async fn totals(broker: &Broker) -> Vec<u64> {
    let mut totals = Vec::new();
    for name in ["one", "two", "three"] {
        totals.push(stats(broker, name).await.messages());
    }
    totals
}

#[tokio::test]
async fn a_message_to_a_shared_destination_has_one_id_in_every_channel_and_is_settled_in_each() {
    let mut broker = with_channels(&three(|_| ())).await;
    let id = broker.pushed("acme/all", "to all").await;
    broker.pushed("acme/two", "to two").await;
    assert_eq!(totals(&broker).await, [1, 2, 1]);
    let response = broker.pull("acme/one", "wait=5").send().await.unwrap();
    assert_eq!(header(&response, "message-id"), id);
    let lease = header(&response, "location");
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(totals(&broker).await, [0, 2, 1]);
    broker.kill();
    broker.start();
    assert_eq!(totals(&broker).await, [0, 2, 1]);
    for name in ["acme/two", "acme/three"] {
        let response = broker.pull(name, "wait=5").send().await.unwrap();
        assert_eq!(header(&response, "message-id"), id);
        assert_eq!(response.text().await.unwrap(), "to all");
    }
}

#[tokio::test]
async fn a_push_to_a_shared_destination_with_one_full_channel_is_429_and_stores_nothing() {
    let broker = with_channels(&three(|channel| {
        if channel.name == "two" {
            channel.limits.messages = 1;
        }
    }))
    .await;
    broker.pushed("acme/all", "1").await;
    let response = broker.push("acme/all", "2").send().await.unwrap();
    let problem = assert_problem(response, 429, ProblemType::ChannelFull).await;
    assert!(problem.detail.contains("acme/two"), "{}", problem.detail);
    assert_eq!(totals(&broker).await, [1, 1, 1]);
    // A sender may wait for room, and then all channels get its message.
    let waiting = tokio::spawn(broker.push("acme/all", "2").header("prefer", "wait=20").send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    let (_, lease) = broker.pulled("acme/two").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::CREATED);
    assert_eq!(totals(&broker).await, [2, 1, 2]);
}

#[tokio::test]
async fn a_push_to_a_shared_destination_is_checked_against_the_limits_of_every_channel() {
    let broker = with_channels(&three(|channel| {
        if channel.name == "three" {
            channel.limits.message_bytes = 10;
            channel.limits.max_delay_seconds = 5;
        }
    }))
    .await;
    let response = broker.push("acme/all", "eleven bytes").send().await.unwrap();
    assert_problem(response, 413, ProblemType::MessageTooLarge).await;
    let response = broker.push("acme/all", "x").header("message-delay", "6").send().await.unwrap();
    let problem = assert_problem(response, 400, ProblemType::HeaderMalformed).await;
    assert!(problem.detail.contains("acme/three"), "{}", problem.detail);
    assert_eq!(totals(&broker).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_repeat_of_a_push_to_a_shared_destination_gets_the_first_answer() {
    let broker = with_channels(&three(|_| ())).await;
    let push = || broker.push("acme/all", "once").header("idempotency-key", "k").send();
    let first = header(&push().await.unwrap(), "message-id");
    let again = push().await.unwrap();
    assert_eq!(header(&again, "message-id"), first);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    assert_eq!(totals(&broker).await, [1, 1, 1]);
}
