//! Push to a channel that accepts no more: `429`, `Prefer: wait`, `whenFull`, rates, and channels that close.

use reqwest::{Method, StatusCode};
use restante_wire::{
    ProblemType,
    channel::{Durability, WhenFull},
};

use crate::{
    broker::{assert_problem, header},
    operator::{orders, put, with_channels_and_flags, with_orders},
    policies::{at_once, stats},
};

#[tokio::test]
async fn a_sender_with_prefer_wait_waits_for_room_and_the_answer_has_preference_applied() {
    let broker = with_orders(|orders| orders.limits.messages = 1).await;
    broker.pushed("acme/orders", "1").await;
    let waiting = tokio::spawn(broker.push("acme/orders", "2").header("prefer", "wait=20").send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "preference-applied"), "wait=20");
    assert_eq!(at_once(&broker).await.as_deref(), Some("2"));
    assert_eq!(broker.metric("restante_waiting_senders").await, 0.0);
}

#[tokio::test]
async fn waiting_senders_are_served_in_the_order_of_arrival_and_no_push_overtakes_them() {
    let broker = with_orders(|orders| orders.limits.messages = 1).await;
    broker.pushed("acme/orders", "0").await;
    let mut waiting = Vec::new();
    for number in 1..=2 {
        let push = broker.push("acme/orders", number.to_string()).header("prefer", "wait=20");
        waiting.push(tokio::spawn(push.send()));
        broker.wait_for_metric("restante_waiting_senders", f64::from(number)).await;
    }
    for number in 0..=2 {
        let (content, lease) = broker.pulled("acme/orders").await;
        assert_eq!(content, number.to_string().into_bytes());
        if number < 2 {
            // A push that does not wait is refused while others wait.
            let response = broker.push("acme/orders", "hasty").send().await.unwrap();
            assert_problem(response, 429, ProblemType::ChannelFull).await;
        }
        broker.request(Method::DELETE, &lease).send().await.unwrap();
    }
    for push in waiting {
        assert_eq!(push.await.unwrap().unwrap().status(), StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_sender_whose_wait_ends_without_room_gets_429_and_one_that_hangs_up_loses_its_place() {
    let broker = with_orders(|orders| orders.limits.messages = 1).await;
    broker.pushed("acme/orders", "1").await;
    let response = broker.push("acme/orders", "2").header("prefer", "wait=1").send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "5");
    let problem = assert_problem(response, 429, ProblemType::ChannelFull).await;
    assert!(problem.detail.contains("1 ready, 0 leased, 0 delayed and 0 dead"), "{}", problem.detail);
    let waiting = tokio::spawn(broker.push("acme/orders", "2").header("prefer", "wait=20").send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    waiting.abort();
    broker.wait_for_metric("restante_waiting_senders", 0.0).await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    broker.pushed("acme/orders", "3").await;
}

#[tokio::test]
async fn waiting_senders_above_the_limit_get_429() {
    let orders = orders(|orders| orders.limits.messages = 1);
    let broker = with_channels_and_flags(&[orders], &["--waiting-senders-max", "1"]).await;
    broker.pushed("acme/orders", "1").await;
    let waiting = tokio::spawn(broker.push("acme/orders", "2").header("prefer", "wait=20").send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    let response = broker.push("acme/orders", "3").header("prefer", "wait=20").send().await.unwrap();
    assert_problem(response, 429, ProblemType::TooManySenders).await;
    waiting.abort();
}

#[tokio::test]
async fn a_repeat_of_a_push_that_waits_for_room_is_409() {
    let broker = with_orders(|orders| orders.limits.messages = 1).await;
    broker.pushed("acme/orders", "1").await;
    let push = || broker.push("acme/orders", "2").header("idempotency-key", "k").header("prefer", "wait=20");
    let waiting = tokio::spawn(push().send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    let response = push().send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "1");
    assert_problem(response, 409, ProblemType::IdempotencyInProgress).await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    let first = header(&waiting.await.unwrap().unwrap(), "message-id");
    let again = push().send().await.unwrap();
    assert_eq!(header(&again, "message-id"), first);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
}

#[tokio::test]
async fn drop_oldest_drops_the_oldest_ready_message_and_never_a_leased_one() {
    let broker = with_orders(|orders| {
        orders.limits.messages = 3;
        orders.when_full = WhenFull::DropOldest;
    })
    .await;
    for content in ["1", "2", "3"] {
        broker.pushed("acme/orders", content).await;
    }
    let (_, leased) = broker.pulled("acme/orders").await;
    broker.pushed("acme/orders", "4").await;
    broker.pushed("acme/orders", "5").await;
    assert_eq!(broker.metric("restante_messages_dropped_total").await, 2.0);
    assert_eq!(at_once(&broker).await.as_deref(), Some("4"));
    assert_eq!(at_once(&broker).await.as_deref(), Some("5"));
    // No ready message is left to drop.
    let response = broker.push("acme/orders", "6").send().await.unwrap();
    assert_problem(response, 429, ProblemType::ChannelFull).await;
    let response = broker.request(Method::DELETE, &leased).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_message_dropped_by_drop_oldest_does_not_return_after_a_kill() {
    let mut broker = with_orders(|orders| {
        orders.limits.messages = 1;
        orders.when_full = WhenFull::DropOldest;
    })
    .await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    broker.kill();
    broker.start();
    assert_eq!(at_once(&broker).await.as_deref(), Some("2"));
    assert_eq!(at_once(&broker).await, None);
}

#[tokio::test]
async fn pushes_above_the_limit_of_pushes_per_second_get_429_with_retry_after() {
    let broker = with_orders(|orders| orders.limits.pushes_per_second = 2).await;
    let mut refused = None;
    for number in 0..10 {
        let response = broker.push("acme/orders", number.to_string()).send().await.unwrap();
        if response.status() != StatusCode::CREATED {
            refused = Some((number, response));
            break;
        }
    }
    let (number, response) = refused.expect("ten pushes are more than two a second");
    assert!(number >= 2, "a burst of as many goes through");
    assert_eq!(header(&response, "retry-after"), "1");
    let problem = assert_problem(response, 429, ProblemType::RateLimited).await;
    assert!(problem.detail.contains("limits.pushesPerSecond"), "{}", problem.detail);
}

#[tokio::test]
async fn a_closing_channel_refuses_pushes_and_delivers_its_messages() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "last").await;
    let closing = orders(|orders| orders.closing = true);
    assert_eq!(put(&broker, &closing).await.status(), StatusCode::OK);
    let response = broker.push("acme/orders", "late").send().await.unwrap();
    assert_problem(response, 410, ProblemType::ChannelClosing).await;
    let (content, lease) = broker.pulled("acme/orders").await;
    assert_eq!(content, b"last");
    let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_known_key_with_another_payload_is_422_and_with_another_traceparent_is_a_repeat() {
    let broker = with_orders(|_| ()).await;
    let push = |content: &'static str, name: &'static str, value: &'static str| {
        broker.push("acme/orders", content).header("idempotency-key", "k").header(name, value).send()
    };
    assert_eq!(push("x", "traceparent", "00-1").await.unwrap().status(), StatusCode::CREATED);
    let again = push("x", "traceparent", "00-2").await.unwrap();
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    for (content, name, value) in [
        ("y", "traceparent", "00-1"),
        ("x", "content-type", "text/plain"),
        ("x", "meta-colour", "red"),
        ("x", "ce-id", "1"),
        ("x", "message-group", "g"),
        ("x", "message-delay", "1"),
        ("x", "message-ttl", "60"),
    ] {
        let response = push(content, name, value).await.unwrap();
        assert_problem(response, 422, ProblemType::IdempotencyMismatch).await;
    }
    assert_eq!(stats(&broker, "orders").await.messages(), 1);
}

#[tokio::test]
async fn durability_memory_is_named_in_the_answer_and_a_restart_empties_the_channel() {
    let mut broker = with_orders(|orders| orders.durability = Durability::Memory).await;
    let response = broker.push("acme/orders", "x").send().await.unwrap();
    assert_eq!(header(&response, "message-durability"), "memory");
    assert_eq!(stats(&broker, "orders").await.ready, 1);
    broker.kill();
    broker.start();
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
    assert_eq!(at_once(&broker).await, None);
    broker.pushed("acme/orders", "y").await;
    assert_eq!(at_once(&broker).await.as_deref(), Some("y"));
}

#[tokio::test]
async fn a_change_of_a_channel_applies_at_once_and_wakes_waiting_senders_and_receivers() {
    let broker = with_orders(|orders| {
        orders.limits.messages = 1;
        orders.paused = true;
    })
    .await;
    broker.pushed("acme/orders", "1").await;
    let receiver = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    assert!(stats(&broker, "orders").await.paused);
    let sender = tokio::spawn(broker.push("acme/orders", "2").header("prefer", "wait=20").send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    // There is room for another, and receivers are served again.
    assert_eq!(put(&broker, &orders(|_| ())).await.status(), StatusCode::OK);
    assert_eq!(receiver.await.unwrap().unwrap().text().await.unwrap(), "1");
    assert_eq!(sender.await.unwrap().unwrap().status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_paused_channel_accepts_pushes_and_answers_pulls_like_an_empty_one() {
    let broker = with_orders(|orders| orders.paused = true).await;
    broker.pushed("acme/orders", "1").await;
    assert_eq!(at_once(&broker).await, None);
    assert_eq!(stats(&broker, "orders").await.ready, 1);
}
