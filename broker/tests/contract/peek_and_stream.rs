//! Reading without leasing: peek, streams, counts, and HEAD on every path with GET.

use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use restante_wire::{
    ProblemType,
    batch::{DeliveredItem, PeekedBatch},
};

use crate::{
    broker::{Broker, DEADLINE, assert_problem, header},
    operator::with_orders,
    policies::{at_once, pushed_with, stats},
};

async fn peek(broker: &Broker, query: &str) -> PeekedBatch {
    let response =
        broker.request(Method::GET, &format!("/v1/peek/acme/orders?{query}")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "cache-control"), "no-store");
    response.json().await.unwrap()
}

fn contents(batch: &PeekedBatch) -> Vec<String> {
    batch.messages.iter().map(|item| String::from_utf8(item.content.0.clone()).unwrap()).collect()
}

#[tokio::test]
async fn a_peek_shows_messages_by_state_and_does_not_count_as_a_delivery() {
    let broker = with_orders(|_| ()).await;
    for content in ["leased", "dead", "ready"] {
        broker.pushed("acme/orders", content).await;
    }
    pushed_with(&broker, "delayed", "message-delay", "3600").await;
    let _leased = broker.pulled("acme/orders").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{lease}/reject")).send().await.unwrap();
    for state in ["ready", "leased", "delayed", "dead"] {
        for _ in 0..2 {
            let batch = peek(&broker, &format!("state={state}")).await;
            assert_eq!(contents(&batch), [state]);
            assert!(batch.messages[0].lease.is_none());
        }
    }
    assert!(peek(&broker, "state=delayed").await.messages[0].due_at.is_some());
    assert_eq!(contents(&peek(&broker, "").await), ["ready"]);
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
}

#[tokio::test]
async fn a_peek_continues_from_an_opaque_cursor() {
    let broker = with_orders(|_| ()).await;
    for number in 0..5 {
        broker.pushed("acme/orders", number.to_string()).await;
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let batch = peek(&broker, &format!("max=2{after}")).await;
        seen.extend(contents(&batch));
        let Some(next) = batch.next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    for query in ["after=7", "max=0", "state=gone"] {
        let path = format!("/v1/peek/acme/orders?{query}");
        let response = broker.request(Method::GET, &path).send().await.unwrap();
        assert_problem(response, 400, ProblemType::ParameterMalformed).await;
    }
}

#[tokio::test]
async fn every_get_has_a_head_without_side_effects() {
    let broker = with_orders(|_| ()).await;
    broker.pushed("acme/orders", "x").await;
    for path in ["messages", "batches", "peek"] {
        let path = format!("/v1/{path}/acme/orders");
        let response = broker.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "message-ready"), "1");
    }
    let response = broker.request(Method::HEAD, "/v1/channels/acme/orders").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
}

/// The events of a stream, without comments.
struct Events {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    async fn open(broker: &Broker, query: &str) -> (reqwest::header::HeaderMap, Self) {
        let request = broker.pull("acme/orders", query).header("accept", "text/event-stream");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers().clone();
        (headers, Self { bytes: response.bytes_stream().boxed(), text: String::new() })
    }

    /// The next event's id and item; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, DeliveredItem)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                let found = field("id:").zip(field("data:"));
                self.text = rest.to_owned();
                if let Some((id, data)) = found {
                    return Some((id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.bytes.next()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk.ok()?).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_sends_one_event_per_message_and_waits_for_its_settle() {
    let broker = with_orders(|_| ()).await;
    let first = broker.pushed("acme/orders", "1").await;
    broker.pushed("acme/orders", "2").await;
    let (headers, mut events) = Events::open(&broker, "lease=60").await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let (id, item) = events.next().await.unwrap();
    assert_eq!((id, item.content.0.as_slice()), (first.clone(), &b"1"[..]));
    assert_eq!((&item.id, item.lease_seconds), (&first, Some(60)));
    // The second waits until the first is settled.
    let found = stats(&broker, "orders").await;
    assert_eq!((found.leased, found.ready), (1, 1));
    let lease = restante_wire::path::lease(item.lease.as_ref().unwrap());
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(events.next().await.unwrap().1.content.0, b"2");
}

#[tokio::test]
async fn a_stream_has_at_most_in_flight_unsettled_messages() {
    let broker = with_orders(|_| ()).await;
    let (_, mut events) = Events::open(&broker, "in_flight=2").await;
    for content in ["1", "2", "3"] {
        broker.pushed("acme/orders", content).await;
    }
    let (_, first) = events.next().await.unwrap();
    events.next().await.unwrap();
    assert_eq!(stats(&broker, "orders").await.ready, 1);
    // After its release it is delivered again: it does not count as unsettled any more.
    let lease = restante_wire::path::lease(first.lease.as_ref().unwrap());
    broker.request(Method::POST, &format!("{lease}/release")).send().await.unwrap();
    let (_, again) = events.next().await.unwrap();
    assert_eq!((again.id.clone(), again.deliveries), (first.id.clone(), 2));
}

#[tokio::test]
async fn a_stream_ends_when_the_broker_drains() {
    let mut broker = with_orders(|_| ()).await;
    let (_, mut events) = Events::open(&broker, "").await;
    broker.pushed("acme/orders", "1").await;
    events.next().await.unwrap();
    broker.signal(rustix::process::Signal::TERM);
    assert!(events.next().await.is_none());
    assert!(broker.wait_for_end().success());
}

#[tokio::test]
async fn a_receiver_that_closes_its_stream_stops_waiting() {
    let broker = with_orders(|_| ()).await;
    let (_, events) = Events::open(&broker, "").await;
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    drop(events);
    broker.wait_for_metric("restante_waiting_receivers", 0.0).await;
    broker.pushed("acme/orders", "1").await;
    assert_eq!(at_once(&broker).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn parameters_of_a_stream_beyond_their_bounds_are_400() {
    let broker = with_orders(|_| ()).await;
    for (query, kind) in [
        ("in_flight=0", ProblemType::ParameterMalformed),
        ("in_flight=101", ProblemType::ParameterMalformed),
        ("wait=5", ProblemType::ParameterUnknown),
    ] {
        let request = broker.pull("acme/orders", query).header("accept", "text/event-stream");
        assert_problem(request.send().await.unwrap(), 400, kind).await;
    }
}
