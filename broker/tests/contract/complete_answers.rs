//! A completed answer is always sent, regardless of the bytes after its request and of how the connection ends.

use reqwest::StatusCode;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    broker::{Broker, ORDERS},
    raw::{Answer, answer, connect, sent, status, until_closed},
};

/// Bytes that a peer may send after a request.
const TAILS: [(&str, &str); 6] = [
    ("nothing", ""),
    ("an empty line", "\r\n"),
    ("rubbish", "\0\x01rubbish"),
    ("half a head", "GET /v1/mess"),
    ("most of a head", "GET /v1/messages/acme/orders HTTP/1.1\r\nHost: loc"),
    ("a whole request", "GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"),
];

/// Ways to ask for a persistent connection.
const ENDS: [(&str, &str); 3] = [("HTTP/1.1", ""), ("HTTP/1.1", "Connection: close\r\n"), ("HTTP/1.0", "")];

/// Sends a request with each HTTP version and each tail, and asserts the status of the first answer.
async fn assert_answered_with_every_tail(
    at: impl AsyncFn() -> TcpStream,
    method_and_path: &str,
    rest: &str,
    wanted: StatusCode,
) {
    for (version, connection) in ENDS {
        for (what, tail) in TAILS {
            let mut stream = at().await;
            let request =
                format!("{method_and_path} {version}\r\nHost: localhost\r\n{connection}{rest}{tail}");
            stream.write_all(request.as_bytes()).await.unwrap();
            let Answer { status, .. } = answer(&mut stream).await;
            assert_eq!(status, wanted.as_u16(), "{version} {connection:?} with {what} behind it");
        }
    }
}

#[tokio::test]
async fn a_push_is_answered_regardless_of_the_bytes_after_the_request() {
    let broker = Broker::serving(ORDERS);
    let rest = "Content-Length: 1\r\n\r\nx";
    assert_answered_with_every_tail(
        async || connect(&broker).await,
        "POST /v1/messages/acme/orders",
        rest,
        StatusCode::CREATED,
    )
    .await;
}

#[tokio::test]
async fn a_message_pulled_with_ack_auto_arrives_regardless_of_the_bytes_after_the_request() {
    let broker = Broker::serving(ORDERS);
    for _ in 0..TAILS.len() * ENDS.len() {
        broker.pushed("acme/orders", "x").await;
    }
    let request = "POST /v1/receive/acme/orders?ack=auto&wait=5";
    assert_answered_with_every_tail(
        async || connect(&broker).await,
        request,
        "Content-Length: 0\r\n\r\n",
        StatusCode::OK,
    )
    .await;
}

#[tokio::test]
async fn a_time_out_response_is_sent_regardless_of_the_bytes_after_the_request() {
    let broker = Broker::serving(ORDERS);
    let request = "GET /v1/messages/acme/orders?wait=0";
    assert_answered_with_every_tail(async || connect(&broker).await, request, "\r\n", StatusCode::NO_CONTENT)
        .await;
}

#[tokio::test]
async fn a_waiting_receiver_that_sends_more_bytes_gets_its_message() {
    let broker = Broker::serving(ORDERS);
    for (what, tail) in TAILS {
        let request = "GET /v1/messages/acme/orders?wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut waiting = sent(&broker, request).await;
        broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
        waiting.write_all(tail.as_bytes()).await.unwrap();
        broker.pushed("acme/orders", what).await;
        let answer = answer(&mut waiting).await;
        assert_eq!((answer.status, answer.body), (200, what.as_bytes().to_vec()));
    }
}

#[tokio::test]
async fn a_refusal_is_sent_regardless_of_the_bytes_after_the_request() {
    let broker = Broker::serving(ORDERS);
    let at = async || connect(&broker).await;
    assert_answered_with_every_tail(at, "GET /v1/nothing", "\r\n", StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn the_admin_port_answers_regardless_of_the_bytes_after_the_request() {
    let broker = Broker::serving(ORDERS);
    let at = async || TcpStream::connect(broker.address("--admin-listen")).await.unwrap();
    assert_answered_with_every_tail(at, "GET /livez", "\r\n", StatusCode::OK).await;
}

/// The answer to an invalid head, after which the connection closes.
async fn refused(head: &[u8]) -> u16 {
    let broker = Broker::serving(ORDERS);
    let mut stream = connect(&broker).await;
    // The broker may have read enough before all of it is sent.
    let _ = stream.write_all(head).await;
    status(&until_closed(&mut stream).await)
}

#[tokio::test]
async fn an_invalid_header_name_is_400() {
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: localhost\r\nbad name: x\r\n\r\n").await, 400);
}

#[tokio::test]
async fn a_folded_header_is_400() {
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: localhost\r\nx: y\r\n z\r\n\r\n").await, 400);
}

#[tokio::test]
async fn a_tls_client_hello_is_400() {
    assert_eq!(refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n").await, 400);
}

#[tokio::test]
async fn more_headers_than_the_limit_are_431() {
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: y\r\n".repeat(128));
    assert_eq!(refused(head.as_bytes()).await, 431);
}

#[tokio::test]
async fn a_url_above_the_limit_of_a_head_is_414() {
    let head = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000));
    assert_eq!(refused(head.as_bytes()).await, 414);
}

#[tokio::test]
async fn a_head_above_the_limit_is_431() {
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    assert_eq!(refused(head.as_bytes()).await, 431);
}
