//! Clients behind a trusted proxy count separately, although they share one address and one connection.

use reqwest::{Client, Method, RequestBuilder, StatusCode};

use crate::{
    broker::{Broker, ORDERS, header},
    raw::{answer, sent},
};

const FLAGS: [&str; 4] = ["--trusted-proxies", "127.0.0.0/8", "--requests-max", "400"];

/// The only connection of a proxy.
struct Proxy<'a> {
    broker: &'a Broker,
    connection: Client,
}

impl<'a> Proxy<'a> {
    fn before(broker: &'a Broker) -> Self {
        Self { broker, connection: Client::builder().http2_prior_knowledge().build().unwrap() }
    }

    /// A request that the proxy forwards for a client.
    fn ask(&self, client: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.broker.data());
        self.connection.request(method, url).header("x-forwarded-for", client)
    }
}

/// The limit of one client's open requests, all waiting for an answer.
async fn hostile(proxy: &Proxy<'_>, client: &str, open: f64) -> Vec<tokio::task::JoinHandle<()>> {
    let held = (0..500).map(|_| {
        let waits = proxy.ask(client, Method::GET, "/v1/messages/acme/orders?wait=20").send();
        tokio::spawn(async { drop(waits.await) })
    });
    let held = held.collect();
    proxy.broker.wait_for_metric("restante_requests_open", open).await;
    held
}

#[tokio::test]
async fn one_hostile_client_of_a_proxy_does_not_stop_a_thousand_others_on_the_same_connection() {
    let broker = Broker::with_flags(ORDERS, &FLAGS);
    let proxy = Proxy::before(&broker);
    // One client gets at most three quarters of all requests.
    let held = hostile(&proxy, "198.51.100.66", 300.0).await;
    for number in 0..1000 {
        let client = format!("203.0.{}.{}", number / 250, number % 250);
        let response = proxy.ask(&client, Method::GET, "/v1/channels/acme/orders").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "client {client}");
    }
    assert_eq!(broker.metric("restante_connections").await, 1.0);
    held.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_hostile_client_behind_a_proxy_is_503_at_its_own_limit_of_requests() {
    let broker = Broker::with_flags(ORDERS, &FLAGS);
    let proxy = Proxy::before(&broker);
    let held = hostile(&proxy, "198.51.100.66", 300.0).await;
    let refused = proxy.ask("198.51.100.66", Method::GET, "/v1/channels/acme/orders").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    held.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_peer_that_is_not_a_trusted_proxy_is_one_client_regardless_of_its_headers() {
    let broker = Broker::with_flags(ORDERS, &["--trusted-proxies", "10.0.0.0/8", "--requests-max", "400"]);
    let proxy = Proxy::before(&broker);
    // One connection of another peer, with the maximum of its streams.
    let held = hostile(&proxy, "198.51.100.66", 100.0).await;
    held.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_location_of_a_lease_begins_with_the_prefix_that_a_trusted_proxy_names() {
    let broker = Broker::with_flags(ORDERS, &FLAGS);
    broker.pushed("acme/orders", "x").await;
    let pull = broker.pull("acme/orders", "wait=0").header("x-forwarded-prefix", "/mq");
    let lease = header(&pull.send().await.unwrap(), "location");
    assert!(lease.starts_with("/mq/v1/leases/"), "{lease}");
}

#[tokio::test]
async fn a_prefix_from_an_untrusted_peer_is_ignored() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let request =
        "GET /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\nx-forwarded-prefix: /evil\r\n\r\n";
    let answer = answer(&mut sent(&broker, request).await).await;
    assert!(answer.head.contains("\r\nlocation: /v1/leases/"), "{}", answer.head);
}
