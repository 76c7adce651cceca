//! A message that becomes unreadable while a receiver holds it, through the real binary: a settle does not need its
//! body.

use std::fs;

use reqwest::{Method, StatusCode};
use restante_wire::batch::PeekedBatch;

use crate::broker::{Broker, ORDERS, header};

const DEAD: &str = "restante_channel_messages{namespace=\"acme\",channel=\"orders\",state=\"dead\"}";
const UNREADABLE: &str = "restante_messages_unreadable_total";

/// The position of a byte of a message, from the offset of its body.
type Place = fn(usize) -> usize;

/// The byte of a message to change on disk.
const DAMAGE: [(&str, Place); 2] = [("content", |at| at + 2000), ("head", |at| at - 20)];

fn content(number: usize) -> String {
    format!("message number {number} {}", "x".repeat(3000))
}

/// A broker that keeps no body in memory, with three messages.
async fn with_messages() -> Broker {
    let broker = Broker::with_flags(ORDERS, &["--hot-body-memory", "1B"]);
    for number in 0..3 {
        broker.pushed("acme/orders", content(number)).await;
    }
    broker
}

fn damage(broker: &Broker, number: usize, place: Place) {
    let (file, at) = broker.segment_with(&content(number).as_bytes()[..20]);
    let path = broker.data_folder().join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[place(at)] ^= 1;
    fs::write(path, bytes).unwrap();
}

async fn pull(broker: &Broker, path: &str) -> reqwest::Response {
    broker.request(Method::GET, path).header("receive-attempt-id", "a").send().await.unwrap()
}

async fn peek(broker: &Broker, state: &str) -> PeekedBatch {
    let path = format!("/v1/peek/acme/orders?state={state}");
    broker.request(Method::GET, &path).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_peek_at_an_unreadable_leased_message_does_not_end_its_lease() {
    for (what, place) in DAMAGE {
        let broker = with_messages().await;
        let (body, lease) = broker.pulled("acme/orders").await;
        assert_eq!(body, content(0).as_bytes());
        damage(&broker, 0, place);
        for _ in 0..40 {
            let seen = peek(&broker, "leased").await;
            let [item] = &seen.messages[..] else { panic!("{what}: {seen:?}") };
            let reason = item.unreadable.as_deref().unwrap_or_default();
            assert!(reason.contains(" at offset "), "{what}: {item:?}");
        }
        let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
        assert_eq!(settled.status(), StatusCode::NO_CONTENT, "{what}: {}", settled.text().await.unwrap());
        assert_eq!(broker.metric(UNREADABLE).await, 0.0, "{what}: nobody needs it");
        assert_eq!(broker.metric(DEAD).await, 0.0, "{what}");
    }
}

#[tokio::test]
async fn a_repeat_of_the_attempt_of_an_unreadable_message_is_409_and_its_lease_continues() {
    for (what, place) in DAMAGE {
        let broker = with_messages().await;
        let path = "/v1/messages/acme/orders?wait=0";
        let lease = header(&pull(&broker, path).await, "location");
        damage(&broker, 0, place);
        for _ in 0..2 {
            let again = pull(&broker, path).await;
            assert_eq!(again.status(), StatusCode::CONFLICT, "{what}");
            let reason = again.text().await.unwrap();
            assert!(reason.contains("/errors/attempt-unreadable\""), "{what}: {reason}");
        }
        let renewed = broker.request(Method::POST, &format!("{lease}/renew")).send().await.unwrap();
        assert_eq!(renewed.status(), StatusCode::OK, "{what}");
        let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
        assert_eq!(settled.status(), StatusCode::NO_CONTENT, "{what}");
        assert_eq!(broker.metric(UNREADABLE).await, 0.0, "{what}");
        // The attempt holds nothing, so its id is a new attempt.
        assert_eq!(pull(&broker, path).await.text().await.unwrap(), content(1), "{what}");
    }
}

#[tokio::test]
async fn a_repeat_of_a_batchs_attempt_has_only_the_readable_messages() {
    for (what, place) in DAMAGE {
        let broker = with_messages().await;
        let path = "/v1/batches/acme/orders?wait=0&max=2";
        assert!(pull(&broker, path).await.text().await.unwrap().contains(&content(1)));
        damage(&broker, 0, place);
        let again = pull(&broker, path).await.text().await.unwrap();
        let has = [0, 1, 2].map(|number| again.contains(&content(number)));
        assert_eq!(has, [false, true, false], "{what}");
        damage(&broker, 1, place);
        assert_eq!(pull(&broker, path).await.status(), StatusCode::CONFLICT, "{what}");
        assert_eq!(broker.metric(DEAD).await, 0.0, "{what}");
    }
}

#[tokio::test]
async fn an_unreadable_message_becomes_a_dead_letter_when_it_would_be_leased_again() {
    for (what, place) in DAMAGE {
        let broker = with_messages().await;
        let (_, lease) = broker.pulled("acme/orders").await;
        damage(&broker, 0, place);
        assert_eq!(peek(&broker, "leased").await.messages.len(), 1, "{what}");
        let released =
            broker.request(Method::POST, &format!("{lease}/release?delay=0")).send().await.unwrap();
        assert_eq!(released.status(), StatusCode::NO_CONTENT, "{what}");
        assert_eq!(broker.pulled("acme/orders").await.0, content(1).as_bytes(), "{what}");
        assert_eq!((broker.metric(DEAD).await, broker.metric(UNREADABLE).await), (1.0, 1.0), "{what}");
        assert_eq!(broker.metric("restante_messages_dead_lettered_total").await, 1.0, "{what}");
        let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
        assert_eq!(settled.status(), StatusCode::GONE, "{what}");
    }
}
