//! Messages that are not settled: the delivery limit, rejects, dead-letter channels, and redrives.

use reqwest::{Method, StatusCode};
use restante_wire::{
    ChannelConfig, ProblemType,
    batch::PeekedBatch,
    channel::{Backoff, BackoffPolicy},
    control::{DeadLettersLeft, LeftBecause, Purged, Redriven},
};

use crate::{
    broker::{Broker, assert_problem, header},
    operator::{channel, control, orders, put, with_channels, with_orders},
    policies::{at_once, pushed_with, stats},
};

async fn dead(broker: &Broker, name: &str) -> PeekedBatch {
    let path = format!("/v1/peek/acme/{name}?state=dead");
    broker.request(Method::GET, &path).send().await.unwrap().json().await.unwrap()
}

async fn rejected(broker: &Broker) {
    let (_, lease) = broker.pulled("acme/orders").await;
    let path = format!("{lease}/reject?reason=no+such%20part");
    let response = broker.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_message_whose_last_allowed_lease_expires_becomes_a_dead_letter() {
    let broker = with_orders(|orders| orders.delivery.max_deliveries = 2).await;
    broker.pushed("acme/orders", "poison").await;
    for deliveries in ["1", "2"] {
        let response = broker.pull("acme/orders", "wait=20&lease=1").send().await.unwrap();
        assert_eq!(header(&response, "message-deliveries"), deliveries);
    }
    broker.wait_for_metric("restante_messages_dead_lettered_total", 1.0).await;
    assert_eq!(at_once(&broker).await, None);
    let found = dead(&broker, "orders").await;
    let note = found.messages[0].dead_letter.as_ref().unwrap();
    assert_eq!((note.cause.as_str(), &note.reason), ("max-deliveries", &None));
    assert_eq!(found.messages[0].content.0, b"poison");
}

#[tokio::test]
async fn an_uncounted_release_does_not_count_against_the_delivery_limit() {
    let broker = with_orders(|orders| orders.delivery.max_deliveries = 1).await;
    broker.pushed("acme/orders", "x").await;
    for _ in 0..3 {
        let (_, lease) = broker.pulled("acme/orders").await;
        let path = format!("{lease}/release?uncounted=true");
        let response = broker.request(Method::POST, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
}

#[tokio::test]
async fn a_released_message_backs_off_by_the_channels_policy_unless_the_receiver_sets_a_delay() {
    let broker = with_orders(|orders| {
        let policy = BackoffPolicy::Constant;
        orders.delivery.backoff = Backoff { policy, initial_seconds: 3600, max_seconds: 3600 };
        orders.limits.max_delay_seconds = 100;
    })
    .await;
    broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let (_, first) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{first}/release")).send().await.unwrap();
    let found = stats(&broker, "orders").await;
    assert_eq!((found.ready, found.delayed), (1, 1));
    let (content, second) = broker.pulled("acme/orders").await;
    assert_eq!(content, b"2");
    let response = broker.request(Method::POST, &format!("{second}/release?delay=101")).send().await.unwrap();
    assert_problem(response, 400, ProblemType::ParameterMalformed).await;
    broker.request(Method::POST, &format!("{second}/release?delay=0")).send().await.unwrap();
    assert_eq!(at_once(&broker).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_rejected_message_is_a_dead_letter_with_its_reason_and_a_redrive_resets_its_deliveries() {
    let mut broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "bad").await;
    rejected(&broker).await;
    broker.kill();
    broker.start();
    let found = dead(&broker, "orders").await;
    let note = found.messages[0].dead_letter.as_ref().unwrap();
    assert_eq!((note.cause.as_str(), note.reason.as_deref()), ("rejected", Some("no such part")));
    let path = format!("channels/{}/redrive", channel("orders").uid);
    let response = control(&broker, Method::POST, &path, String::new()).await;
    assert_eq!(response.json::<Redriven>().await.unwrap(), Redriven { moved: 1, ..Redriven::default() });
    broker.kill();
    broker.start();
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
}

#[tokio::test]
async fn a_reject_reason_that_is_not_a_header_value_is_400_and_the_lease_continues() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "x").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    for reason in ["%0d%0aset-cookie", "", "%C3%A4", &"r".repeat(256)] {
        let path = format!("{lease}/reject?reason={reason}");
        let response = broker.request(Method::POST, &path).send().await.unwrap();
        assert_problem(response, 400, ProblemType::ParameterMalformed).await;
    }
    let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

/// `acme/orders`, whose dead letters go to `acme/orders-dead`.
fn with_a_dead_letter_channel(change: impl FnOnce(&mut ChannelConfig)) -> [ChannelConfig; 2] {
    let mut takes = channel("orders-dead");
    change(&mut takes);
    [orders(|orders| orders.dead_letter.channel = Some("orders-dead".into())), takes]
}

#[tokio::test]
async fn dead_letters_move_to_the_dead_letter_channel_with_their_cause() {
    let mut broker = with_channels(&with_a_dead_letter_channel(|_| ())).await;
    let push = broker.push("acme/orders", "bad").header("content-type", "text/plain");
    let id = header(&push.header("message-group", "g").send().await.unwrap(), "message-id");
    // A waiting receiver there gets it at once.
    let waiting = tokio::spawn(broker.pull("acme/orders-dead", "wait=20&lease=1").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    rejected(&broker).await;
    let response = waiting.await.unwrap().unwrap();
    for (name, value) in [
        ("message-id", id.as_str()),
        ("message-deliveries", "1"),
        ("message-group", "g"),
        ("content-type", "text/plain"),
        ("message-dead-letter-cause", "rejected"),
        ("message-dead-letter-channel", "acme/orders"),
        ("message-dead-letter-reason", "no such part"),
    ] {
        assert_eq!(header(&response, name), value, "{name}");
    }
    broker.kill();
    broker.start();
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
    assert_eq!(stats(&broker, "orders-dead").await.messages(), 1);
}

#[tokio::test]
async fn dead_letters_stay_in_their_channel_if_the_dead_letter_channel_is_full_or_missing() {
    let broker = with_channels(&with_a_dead_letter_channel(|takes| takes.limits.messages = 1)).await;
    for content in ["1", "2"] {
        broker.pushed("acme/orders", content).await;
        rejected(&broker).await;
    }
    assert_eq!(stats(&broker, "orders-dead").await.messages(), 1);
    assert_eq!(stats(&broker, "orders").await.dead, 1);
    let nowhere = orders(|orders| orders.dead_letter.channel = Some("missing".into()));
    assert_eq!(put(&broker, &nowhere).await.status(), StatusCode::OK);
    broker.pushed("acme/orders", "3").await;
    rejected(&broker).await;
    assert_eq!(stats(&broker, "orders").await.dead, 2);
    // Senders have not sent these notes, and cannot forge them.
    pushed_with(&broker, "4", "message-dead-letter-cause", "expired").await;
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert!(response.headers().get("message-dead-letter-cause").is_none());
}

#[tokio::test]
async fn dead_letters_are_redriven_to_another_channel_up_to_a_limit_and_purged() {
    let mut broker = with_channels(&[orders(|_| ()), channel("again")]).await;
    for content in ["1", "2", "3"] {
        broker.pushed("acme/orders", content).await;
        rejected(&broker).await;
    }
    broker.pushed("acme/orders", "alive").await;
    let (uid, to) = (channel("orders").uid, channel("again").uid);
    let redrive = format!("{{\"to\": \"{to}\", \"limit\": 2}}");
    let response = control(&broker, Method::POST, &format!("channels/{uid}/redrive"), redrive).await;
    let left = DeadLettersLeft { channel: "acme/orders".into(), messages: 1, because: LeftBecause::Limit };
    let redriven = Redriven { moved: 2, left: 1, left_in: vec![left] };
    assert_eq!(response.json::<Redriven>().await.unwrap(), redriven);
    broker.kill();
    broker.start();
    let response = broker.pull("acme/again", "wait=5").send().await.unwrap();
    assert!(
        response.headers().get("message-dead-letter-cause").is_none(),
        "it is not a dead letter any more"
    );
    assert_eq!(response.text().await.unwrap(), "1");
    let purge = "{\"states\": [\"dead\"]}".to_owned();
    let response = control(&broker, Method::POST, &format!("channels/{uid}/purge"), purge).await;
    assert_eq!(response.json::<Purged>().await.unwrap(), Purged { purged: 1 });
    let found = stats(&broker, "orders").await;
    assert_eq!((found.ready, found.dead, found.bytes), (1, 0, 5));
}

#[tokio::test]
async fn dead_letters_expire_after_the_ttl_of_dead_letters() {
    let broker = with_orders(|orders| orders.dead_letter.ttl_seconds = 1).await;
    broker.pushed("acme/orders", "bad").await;
    rejected(&broker).await;
    assert_eq!(stats(&broker, "orders").await.dead, 1);
    broker.wait_for_metric("restante_messages_expired_total", 1.0).await;
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}
