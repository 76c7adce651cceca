//! Dead-letter channels: where dead letters are listed, and how they return.

use reqwest::{Method, StatusCode};
use restante_wire::{
    ChannelConfig,
    batch::{DeliveredItem, PeekedBatch, PulledBatch},
    control::{DeadLettersLeft, LeftBecause, Redriven},
};
use serde_json::json;

use crate::{
    broker::{Broker, DEADLINE, header},
    operator::{channel, control, orders, put, with_channels, with_channels_and_flags},
    policies::stats,
};

/// `acme/orders` and `acme/bills`, whose dead letters go to `acme/dead`.
fn channels() -> [ChannelConfig; 3] {
    let mut bills = channel("bills");
    bills.dead_letter.channel = Some("dead".into());
    [orders(|orders| orders.dead_letter.channel = Some("dead".into())), bills, channel("dead")]
}

/// Pushes a message and makes it a dead letter. Returns its time of storage.
async fn push_dead_letter(broker: &Broker, name: &str, content: &'static str) -> String {
    broker.pushed(&format!("acme/{name}"), content).await;
    let response = broker.pull(&format!("acme/{name}"), "wait=5").send().await.unwrap();
    let (enqueued, lease) = (header(&response, "message-enqueued-at"), header(&response, "location"));
    let path = format!("{lease}/reject?reason=no+bolts");
    let rejected = broker.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(rejected.status(), StatusCode::NO_CONTENT);
    enqueued
}

/// Three dead letters in `acme/dead`: `1` and `3` of orders, `2` of bills.
async fn push_three_dead_letters(broker: &Broker) {
    for (name, content) in [("orders", "1"), ("bills", "2"), ("orders", "3")] {
        push_dead_letter(broker, name, content).await;
    }
    wait_for_messages(broker, "dead", 3).await;
}

/// Waits until a channel has this number of messages: relayed ones arrive a moment later.
async fn wait_for_messages(broker: &Broker, name: &str, messages: u64) {
    let waited = async {
        while stats(broker, name).await.messages() != messages {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waited).await.unwrap();
}

async fn page(broker: &Broker, name: &str, query: &str) -> PeekedBatch {
    let path = format!("/v1/peek/acme/{name}?state=dead-letters{query}");
    broker.request(Method::GET, &path).send().await.unwrap().json().await.unwrap()
}

fn contents(messages: &[DeliveredItem]) -> Vec<&str> {
    messages.iter().map(|item| std::str::from_utf8(&item.content.0).unwrap()).collect()
}

async fn redrive(broker: &Broker, name: &str, body: String) -> Redriven {
    let path = format!("channels/{}/redrive", channel(name).uid);
    let response = control(broker, Method::POST, &path, body).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

fn moved(moved: u64) -> Redriven {
    Redriven { moved, ..Redriven::default() }
}

#[tokio::test]
async fn dead_letters_are_listed_by_origin_and_the_dead_letter_channel_lists_all_with_their_origin() {
    let mut broker = with_channels(&channels()).await;
    push_three_dead_letters(&broker).await;
    broker.pushed("acme/dead", "no letter").await;
    broker.kill();
    broker.start();
    let of_orders = page(&broker, "orders", "").await;
    assert_eq!((contents(&of_orders.messages), of_orders.next), (vec!["1", "3"], None));
    let note = of_orders.messages[0].dead_letter.as_ref().unwrap();
    assert_eq!((note.cause.as_str(), note.reason.as_deref()), ("rejected", Some("no bolts")));
    assert_eq!((note.channel.as_deref(), note.held_in.as_deref()), (Some("acme/orders"), Some("acme/dead")));
    assert!(note.since >= of_orders.messages[0].enqueued_at, "{note:?}");
    let all = page(&broker, "dead", "").await;
    let origins: Vec<_> =
        all.messages.iter().map(|item| item.dead_letter.as_ref().unwrap().channel.as_deref()).collect();
    assert_eq!(contents(&all.messages), ["1", "2", "3"]);
    assert_eq!(origins, [Some("acme/orders"), Some("acme/bills"), Some("acme/orders")]);
}

#[tokio::test]
async fn dead_letters_in_the_channel_and_in_the_dead_letter_channel_are_listed_page_by_page() {
    let mut channels = channels();
    channels[2].limits.messages = 2;
    let broker = with_channels(&channels).await;
    for content in ["1", "2", "3"] {
        push_dead_letter(&broker, "orders", content).await;
        wait_for_messages(&broker, "dead", 2.min(content.parse().unwrap())).await;
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(&broker, "orders", &format!("&max=1{after}")).await;
        found.extend(contents(&page.messages).into_iter().map(str::to_owned));
        let Some(next) = page.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(found, ["3", "1", "2"], "what stayed in the channel comes first");
}

#[tokio::test]
async fn a_redrive_of_a_dead_letter_channel_returns_each_dead_letter_to_its_origin() {
    let mut broker = with_channels(&channels()).await;
    push_three_dead_letters(&broker).await;
    broker.pushed("acme/dead", "no letter").await;
    assert_eq!(redrive(&broker, "dead", String::new()).await, moved(3));
    broker.kill();
    broker.start();
    for (name, messages) in [("orders", 2), ("bills", 1), ("dead", 1)] {
        wait_for_messages(&broker, name, messages).await;
    }
    let response = broker.pull("acme/bills", "wait=5").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
    assert!(
        response.headers().get("message-dead-letter-channel").is_none(),
        "it is not a dead letter any more"
    );
    assert_eq!(response.text().await.unwrap(), "2");
}

#[tokio::test]
async fn a_redrive_of_a_channel_returns_only_its_own_dead_letters() {
    let broker = with_channels(&channels()).await;
    push_three_dead_letters(&broker).await;
    let first = redrive(&broker, "orders", "{\"limit\": 1}".into()).await;
    let left = DeadLettersLeft { channel: "acme/dead".into(), messages: 1, because: LeftBecause::Limit };
    assert_eq!(first, Redriven { moved: 1, left: 1, left_in: vec![left] });
    assert_eq!(redrive(&broker, "orders", String::new()).await, moved(1));
    wait_for_messages(&broker, "orders", 2).await;
    wait_for_messages(&broker, "dead", 1).await;
    assert_eq!(redrive(&broker, "orders", String::new()).await, moved(0));
}

#[tokio::test]
async fn a_redrive_moves_dead_letters_to_the_named_channel() {
    let broker = with_channels(&channels()).await;
    push_three_dead_letters(&broker).await;
    let to = channel("bills").uid;
    assert_eq!(redrive(&broker, "dead", format!("{{\"to\": \"{to}\"}}")).await, moved(3));
    wait_for_messages(&broker, "bills", 3).await;
}

#[tokio::test]
async fn a_redrive_reports_each_dead_letter_that_stays_with_its_channel_and_reason() {
    let mut broker = with_channels(&channels()).await;
    push_three_dead_letters(&broker).await;
    let full = orders(|orders| {
        orders.limits.messages = 1;
        orders.dead_letter.channel = Some("dead".into());
    });
    assert_eq!(put(&broker, &full).await.status(), StatusCode::OK);
    broker.pushed("acme/orders", "in the way").await;
    let lease = header(&broker.pull("acme/dead", "wait=5").send().await.unwrap(), "location");
    let uid = channel("bills").uid;
    control(&broker, Method::DELETE, &format!("channels/{uid}"), String::new()).await;
    let left = |messages, because| DeadLettersLeft { channel: "acme/dead".into(), messages, because };
    let left_in =
        vec![left(1, LeftBecause::NoRoom), left(1, LeftBecause::Leased), left(1, LeftBecause::OriginUnknown)];
    assert_eq!(redrive(&broker, "dead", String::new()).await, Redriven { moved: 0, left: 3, left_in });
    // The lease continues, and nothing was lost.
    let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(settled.status(), StatusCode::NO_CONTENT);
    broker.kill();
    broker.start();
    assert_eq!(stats(&broker, "dead").await.messages(), 2);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_enqueued_time_and_its_ttl_starts_again_with_each_move() {
    let mut channels = channels();
    channels[0].limits.ttl_seconds = 3;
    channels[0].expired = restante_wire::channel::Expired::DeadLetter;
    channels[2].limits.ttl_seconds = 60;
    let mut broker = with_channels(&channels).await;
    broker.pushed("acme/orders", "late").await;
    let peek = broker.request(Method::GET, "/v1/peek/acme/orders").send().await.unwrap();
    let enqueued = peek.json::<PeekedBatch>().await.unwrap().messages[0].enqueued_at.clone();
    wait_for_messages(&broker, "dead", 1).await;
    let found = page(&broker, "dead", "").await;
    assert_eq!(found.messages[0].enqueued_at, enqueued);
    let note = found.messages[0].dead_letter.as_ref().unwrap();
    assert!(note.cause.as_str() == "expired" && note.since > enqueued, "{note:?}");
    // The message was stored longer ago than the channel's TTL.
    assert_eq!(redrive(&broker, "dead", String::new()).await, moved(1));
    wait_for_messages(&broker, "orders", 1).await;
    broker.kill();
    broker.start();
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "message-enqueued-at"), enqueued);
}

#[tokio::test]
async fn dead_letters_are_listed_and_redriven_over_several_cores() {
    let broker = with_channels_and_flags(&channels(), &["--cores", "3"]).await;
    push_three_dead_letters(&broker).await;
    assert_eq!(contents(&page(&broker, "orders", "").await.messages), ["1", "3"]);
    assert_eq!(redrive(&broker, "orders", String::new()).await, moved(2));
    wait_for_messages(&broker, "orders", 2).await;
    assert_eq!(redrive(&broker, "dead", String::new()).await, moved(1));
    wait_for_messages(&broker, "bills", 1).await;
}

#[tokio::test]
async fn many_dead_letters_with_bodies_on_disk_are_listed_and_redriven_in_order() {
    let broker = with_channels_and_flags(&channels(), &["--hot-body-memory", "1B"]).await;
    let wanted: Vec<_> = (0..150).map(|number| number.to_string()).collect();
    let items: Vec<_> = wanted.iter().map(|content| json!({ "content": content })).collect();
    let post = |path: &str, body| broker.request(Method::POST, path).json(&body).send();
    post("/v1/batches/acme/orders", json!({ "messages": items })).await.unwrap();
    let pull = broker.request(Method::GET, "/v1/batches/acme/orders?max=150").send().await.unwrap();
    let pulled: PulledBatch = pull.json().await.unwrap();
    let reject: Vec<_> = pulled.messages.iter().map(|item| json!({ "lease": item.lease })).collect();
    assert_eq!(reject.len(), 150);
    post("/v1/settlements", json!({ "reject": reject })).await.unwrap();
    wait_for_messages(&broker, "dead", 150).await;
    let found = page(&broker, "orders", "&max=1000").await;
    assert_eq!((contents(&found.messages), found.next), (wanted.iter().map(String::as_str).collect(), None));
    assert_eq!(redrive(&broker, "dead", "{\"limit\": 100}".into()).await.moved, 100);
    assert_eq!(redrive(&broker, "dead", String::new()).await, moved(50));
    wait_for_messages(&broker, "orders", 150).await;
    let pull = broker.request(Method::GET, "/v1/batches/acme/orders?max=150").send().await.unwrap();
    let pulled: PulledBatch = pull.json().await.unwrap();
    assert_eq!(contents(&pulled.messages), wanted);
}
