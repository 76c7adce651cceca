//! The pull adapter.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem, header};

#[tokio::test]
async fn the_answer_of_a_pull_describes_the_message_and_its_lease() {
    let broker = Broker::serving(ORDERS);
    broker.push("acme/orders", "content").header("content-type", "text/plain").send().await.unwrap();
    let response = broker.pull("acme/orders", "lease=7").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "message-deliveries"), "1");
    assert_eq!(header(&response, "lease-duration"), "7");
    assert!(header(&response, "location").starts_with("/v1/leases/"));
    let (enqueued, expires) =
        (header(&response, "message-enqueued-at"), header(&response, "lease-expires-at"));
    assert!(enqueued.ends_with('Z') && enqueued < expires, "{enqueued} {expires}");
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert_eq!(header(&response, "vary"), "Prefer");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header(&response, "content-security-policy"), "sandbox");
    assert_eq!(header(&response, "content-length"), "7");
}

#[tokio::test]
async fn a_pull_without_a_message_within_the_wait_gets_the_time_out_response() {
    let broker = Broker::serving(ORDERS);
    let started = Instant::now();
    let response = broker.pull("acme/orders", "wait=1").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(broker.metric("restante_pull_timeouts_total").await, 1.0);
}

#[tokio::test]
async fn a_pull_without_a_wait_parameter_waits_for_the_channels_wait_seconds() {
    let broker = Broker::serving(&ORDERS.replace("  limits:", "  delivery: {waitSeconds: 1}\n  limits:"));
    let started = Instant::now();
    let response = broker.pull("acme/orders", "").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn wait_and_lease_above_the_channels_maximum_are_clamped() {
    let delivery =
        "  delivery: {waitSeconds: 0, maxWaitSeconds: 1, leaseSeconds: 5, maxLeaseSeconds: 10}\n  limits:";
    let broker = Broker::serving(&ORDERS.replace("  limits:", delivery));
    let response = broker.pull("acme/orders", "wait=99999999999").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    broker.pushed("acme/orders", "x").await;
    let response = broker.pull("acme/orders", "lease=3600").send().await.unwrap();
    assert_eq!(header(&response, "lease-duration"), "10");
}

#[tokio::test]
async fn prefer_wait_is_applied_and_confirmed_and_the_query_takes_precedence() {
    let broker = Broker::serving(ORDERS);
    let response = broker.pull("acme/orders", "").header("prefer", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&response, "preference-applied"), "wait=0");
    let response = broker.pull("acme/orders", "wait=0").header("prefer", "wait=20").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(response.headers().get("preference-applied").is_none());
}

#[tokio::test]
async fn a_waiting_receiver_gets_a_message_when_it_is_pushed() {
    let broker = Broker::serving(ORDERS);
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    broker.pushed("acme/orders", "news").await;
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "news");
    assert_eq!(broker.metric("restante_waiting_receivers").await, 0.0);
}

#[tokio::test]
async fn waiting_receivers_are_served_in_the_order_of_arrival() {
    let broker = Broker::serving(ORDERS);
    let mut waiting = Vec::new();
    for number in 1..=3 {
        waiting.push(tokio::spawn(broker.pull("acme/orders", "wait=20").send()));
        broker.wait_for_metric("restante_waiting_receivers", f64::from(number)).await;
    }
    for number in 1..=3 {
        broker.pushed("acme/orders", number.to_string()).await;
    }
    for (number, receiver) in (1..=3).zip(waiting) {
        assert_eq!(receiver.await.unwrap().unwrap().text().await.unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn a_waiting_receiver_that_hangs_up_costs_no_delivery() {
    let broker = Broker::serving(ORDERS);
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    waiting.abort();
    broker.wait_for_metric("restante_waiting_receivers", 0.0).await;
    broker.pushed("acme/orders", "news").await;
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
}

#[tokio::test]
async fn messages_are_delivered_in_the_order_in_which_they_were_stored() {
    let broker = Broker::serving(ORDERS);
    for number in 0..20 {
        broker.pushed("acme/orders", number.to_string()).await;
    }
    for number in 0..20 {
        assert_eq!(broker.pulled("acme/orders").await.0, number.to_string().into_bytes());
    }
}

#[tokio::test]
async fn a_pull_by_post_delivers_a_message_and_refuses_a_body() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let path = "/v1/receive/acme/orders?wait=0";
    let response = broker.request(Method::POST, path).body("a body").send().await.unwrap();
    assert_problem(response, 400, ProblemType::BodyUnexpected).await;
    let response = broker.request(Method::POST, path).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "x");
}

#[tokio::test]
async fn head_returns_the_number_of_ready_messages_and_counts_no_delivery() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    for _ in 0..3 {
        let response = broker.request(Method::HEAD, "/v1/messages/acme/orders").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "message-ready"), "1");
    }
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 0.0);
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
}

#[tokio::test]
async fn waiting_receivers_above_the_limit_get_429() {
    let broker = Broker::with_flags(ORDERS, &["--waiting-receivers-max", "1"]);
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    let response = broker.pull("acme/orders", "wait=20").send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "1");
    assert_problem(response, 429, ProblemType::TooManyReceivers).await;
    broker.pushed("acme/orders", "x").await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_statistics_of_a_channel_count_its_messages() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "12345").await;
    broker.pushed("acme/orders", "12345").await;
    let _leased = broker.pulled("acme/orders").await;
    let response = broker.request(Method::GET, "/v1/channels/acme/orders").send().await.unwrap();
    let stats: restante_wire::ChannelStats = response.json().await.unwrap();
    assert_eq!((stats.ready, stats.leased, stats.bytes, stats.waiting_receivers), (1, 1, 10, 0));
    assert!(stats.oldest_message_age_seconds.is_some());
    let response = broker.request(Method::GET, "/v1/channels/acme/nothing").send().await.unwrap();
    assert_problem(response, 404, ProblemType::AddressUnknown).await;
}
