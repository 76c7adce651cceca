//! Push: the request headers for message groups, delays and TTLs, and the channel's bounds.

use reqwest::{Method, StatusCode};
use restante_wire::{ChannelStats, ProblemType, channel::Expired};

use crate::{
    broker::{Broker, assert_problem, header},
    operator::with_orders,
};

pub(crate) async fn stats(broker: &Broker, name: &str) -> ChannelStats {
    let response = broker.request(Method::GET, &format!("/v1/channels/acme/{name}")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

/// Pushes with one header, which must succeed.
pub(crate) async fn pushed_with(broker: &Broker, content: &str, name: &'static str, value: &str) {
    let response = broker.push("acme/orders", content.to_owned()).header(name, value).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
}

/// The body that a pull gets at once, as text; `None` for the time-out response.
pub(crate) async fn at_once(broker: &Broker) -> Option<String> {
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    match response.status() {
        StatusCode::NO_CONTENT => None,
        status => {
            assert_eq!(status, StatusCode::OK);
            Some(response.text().await.unwrap())
        }
    }
}

#[tokio::test]
async fn a_message_with_message_delay_is_delivered_after_its_delay_and_not_before() {
    let broker = with_orders(|_| ()).await;
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    pushed_with(&broker, "later", "message-delay", "1").await;
    assert_eq!(stats(&broker, "orders").await.delayed, 1);
    assert_eq!(at_once(&broker).await, None);
    // A waiting receiver gets it when it is due, without another request.
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "later");
    assert_eq!(stats(&broker, "orders").await.delayed, 0);
}

#[tokio::test]
async fn message_delay_and_message_ttl_above_the_channels_limits_are_400_and_never_clamped() {
    let broker = with_orders(|orders| {
        orders.limits.max_delay_seconds = 60;
        orders.limits.ttl_seconds = 600;
    })
    .await;
    for (name, value) in [
        ("message-delay", "61"),
        ("message-delay", "-1"),
        ("message-delay", "soon"),
        ("message-ttl", "601"),
        ("message-ttl", "0"),
        ("message-ttl", "1.5"),
        ("message-group", "two words"),
        ("message-group", ""),
    ] {
        let response = broker.push("acme/orders", "x").header(name, value).send().await.unwrap();
        assert_problem(response, 400, ProblemType::HeaderMalformed).await;
    }
    // More than the broker can represent: the detail names no value that the sender did not give.
    let response =
        broker.push("acme/orders", "x").header("message-delay", "99999999999").send().await.unwrap();
    let detail = assert_problem(response, 400, ProblemType::HeaderMalformed).await.detail;
    assert!(detail.starts_with("Message-Delay exceeds the maximum of acme/orders: 60 s"), "{detail}");
    // Due after its expiry: it could never be received.
    let push = broker.push("acme/orders", "x").header("message-delay", "20").header("message-ttl", "20");
    assert_problem(push.send().await.unwrap(), 400, ProblemType::HeaderMalformed).await;
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
    pushed_with(&broker, "x", "message-delay", "60").await;
    pushed_with(&broker, "x", "message-ttl", "600").await;
}

#[tokio::test]
async fn a_message_with_message_ttl_expires() {
    let broker = with_orders(|_| ()).await;
    pushed_with(&broker, "short", "message-ttl", "1").await;
    broker.wait_for_metric("restante_messages_expired_total", 1.0).await;
    let stats = stats(&broker, "orders").await;
    assert_eq!((stats.messages(), stats.bytes), (0, 0));
    assert_eq!(at_once(&broker).await, None);
}

#[tokio::test]
async fn a_message_without_a_ttl_has_the_channels_and_may_become_a_dead_letter_when_it_expires() {
    let broker = with_orders(|orders| {
        orders.limits.ttl_seconds = 1;
        orders.expired = Expired::DeadLetter;
    })
    .await;
    broker.pushed("acme/orders", "short").await;
    broker.wait_for_metric("restante_messages_dead_lettered_total", 1.0).await;
    assert_eq!(stats(&broker, "orders").await.dead, 1);
    assert_eq!(at_once(&broker).await, None);
}

#[tokio::test]
async fn one_message_of_a_message_group_is_leased_at_a_time_and_other_groups_overtake_it() {
    let broker = with_orders(|_| ()).await;
    for (content, group) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        pushed_with(&broker, content, "message-group", group).await;
    }
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-group"), "a");
    let lease = header(&response, "location");
    assert_eq!(response.text().await.unwrap(), "a1");
    assert_eq!(at_once(&broker).await.as_deref(), Some("b1"));
    assert_eq!(at_once(&broker).await, None);
    // After the settle the next one goes to the waiting receiver.
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "a2");
}

#[tokio::test]
async fn order_strict_makes_the_whole_channel_one_group() {
    let broker = with_orders(|orders| orders.delivery.order = restante_wire::channel::Order::Strict).await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let (content, lease) = broker.pulled("acme/orders").await;
    assert_eq!(content, b"1");
    assert_eq!(at_once(&broker).await, None);
    broker.request(Method::POST, &format!("{lease}/reject")).send().await.unwrap();
    assert_eq!(at_once(&broker).await.as_deref(), Some("2"), "a dead letter holds nobody up");
}

#[tokio::test]
async fn a_released_message_takes_its_old_place() {
    let broker = with_orders(|_| ()).await;
    for content in ["1", "2", "3"] {
        broker.pushed("acme/orders", content).await;
    }
    let (_, first) = broker.pulled("acme/orders").await;
    let _second = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{first}/release")).send().await.unwrap();
    assert_eq!(at_once(&broker).await.as_deref(), Some("1"));
    assert_eq!(at_once(&broker).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn message_groups_delays_and_ttl_survive_a_kill() {
    let mut broker = with_orders(|orders| orders.delivery.max_deliveries = 1).await;
    pushed_with(&broker, "a1", "message-group", "a").await;
    pushed_with(&broker, "a2", "message-group", "a").await;
    pushed_with(&broker, "delayed", "message-delay", "3600").await;
    pushed_with(&broker, "short", "message-ttl", "3600").await;
    let (content, lease) = broker.pulled("acme/orders").await;
    assert_eq!(content, b"a1");
    broker.kill();
    broker.start();
    let found = stats(&broker, "orders").await;
    assert_eq!((found.ready, found.leased, found.delayed), (2, 1, 1));
    assert_eq!(at_once(&broker).await.as_deref(), Some("short"), "a2 waits for a1");
    broker.request(Method::POST, &format!("{lease}/reject?reason=no+such+part")).send().await.unwrap();
    broker.kill();
    broker.start();
    assert_eq!(stats(&broker, "orders").await.dead, 1);
    assert_eq!(at_once(&broker).await.as_deref(), Some("a2"));
}
