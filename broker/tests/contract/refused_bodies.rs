//! A refusal reaches its client, even one that sends its whole body before it reads.

use reqwest::{StatusCode, Version};
use tokio::io::AsyncWriteExt as _;

use crate::{
    broker::{Broker, ORDERS},
    raw::{answer, connect, sent},
};

/// More than the system's buffers hold, and less than the broker reads of a refused body.
const BYTES: usize = 5_000_000;

/// Sends a large body like clients that read only after sending, with its length and without.
async fn refused(request: &str, headers: &str) -> Vec<u16> {
    let broker = Broker::serving(ORDERS);
    let mut statuses = Vec::new();
    let body = vec![7; BYTES];
    let chunked = [format!("{BYTES:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    for (framing, body) in
        [(format!("Content-Length: {BYTES}"), body), ("Transfer-Encoding: chunked".into(), chunked)]
    {
        let mut stream = connect(&broker).await;
        let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\n{headers}{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.expect("the broker hears it out");
        let answer = answer(&mut stream).await;
        assert!(answer.head.to_lowercase().contains("connection: close"), "{}", answer.head);
        statuses.push(answer.status);
    }
    statuses
}

#[tokio::test]
async fn a_large_body_to_an_unknown_address_is_404() {
    assert_eq!(refused("POST /v1/messages/acme/nobody", "").await, [404, 404]);
}

#[tokio::test]
async fn a_large_body_with_a_malformed_header_is_400() {
    let headers = "Message-Delay: soon\r\n";
    assert_eq!(refused("POST /v1/messages/acme/orders", headers).await, [400, 400]);
}

#[tokio::test]
async fn a_large_body_from_an_origin_that_is_not_listed_is_403() {
    let headers = "Origin: https://evil.example.com\r\n";
    assert_eq!(refused("POST /v1/messages/acme/orders", headers).await, [403, 403]);
}

#[tokio::test]
async fn a_large_body_with_a_wrong_method_is_405() {
    assert_eq!(refused("PUT /v1/messages/acme/orders", "").await, [405, 405]);
}

#[tokio::test]
async fn a_body_above_the_channels_limit_is_413() {
    assert_eq!(refused("POST /v1/messages/acme/orders", "").await, [413, 413]);
}

#[tokio::test]
async fn a_refusal_over_http_2_reaches_its_client() {
    let broker = Broker::serving(ORDERS);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for _ in 0..10 {
        let url = format!("http://{}/v1/messages/acme/nobody", broker.data());
        let response = client.post(url).body(vec![7; BYTES]).send().await.unwrap();
        assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::NOT_FOUND));
    }
}

/// The first line of the answer to a client that expects `100 Continue`.
async fn expecting(path: &str) -> String {
    let broker = Broker::serving(ORDERS);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BYTES}\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut stream = sent(&broker, head).await;
    answer(&mut stream).await.head.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_413_before_it_sends_an_oversize_body() {
    assert_eq!(expecting("/v1/messages/acme/orders").await, "HTTP/1.1 413 Payload Too Large");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_404_before_it_sends_a_body_to_an_unknown_address() {
    assert_eq!(expecting("/v1/messages/acme/nobody").await, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn a_connection_with_a_small_refused_body_serves_the_next_request() {
    let broker = Broker::serving(ORDERS);
    let mut stream = connect(&broker).await;
    for _ in 0..3 {
        let request =
            "POST /v1/messages/acme/nobody HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nseven";
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.status, 404);
    }
}
