//! Framing of requests, byte by byte: a request that two readers could understand differently is refused, and an empty
//! body counts as none.

use std::net::SocketAddr;

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    broker::{Broker, DEADLINE, ORDERS, header},
    operator::with_orders,
    policies::stats,
};

/// The status and the text of the answer to raw bytes.
async fn answered(broker: &Broker, request: &str) -> (u16, String) {
    answered_at(broker.data(), request).await
}

async fn answered_at(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while !is_whole(&answer, request.starts_with("HEAD"))
            && stream.read_buf(&mut answer).await.unwrap() > 0
        {}
    };
    let in_time = timeout(DEADLINE, read).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(in_time.is_ok(), "{request:?}: {answer:?} is no answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{request:?}: no answer")), answer)
}

/// Whether an answer is complete, by its length.
fn is_whole(answer: &[u8], without_body: bool) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    without_body || body.len() >= length.unwrap_or(0)
}

/// Asserts that the answer is a problem of this type, and nothing was stored.
async fn assert_refused(broker: &Broker, request: &str, status: u16, kind: ProblemType) {
    let (found, answer) = answered(broker, request).await;
    assert_eq!(found, status, "{request:?}: {answer}");
    assert!(answer.contains(&kind.uri()), "{request:?}: {answer}");
    assert_eq!(broker.metric("restante_messages_pushed_total").await, 0.0, "{request:?}");
}

#[tokio::test]
async fn a_transfer_coding_other_than_chunked_is_501_and_stores_nothing() {
    let broker = Broker::serving(ORDERS);
    for codings in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity, chunked",
    ] {
        // The head alone decides: the body is not awaited.
        let request =
            format!("POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\n{codings}\r\n\r\n");
        assert_refused(&broker, &request, 501, ProblemType::TransferCodingUnsupported).await;
    }
}

#[tokio::test]
async fn the_control_port_refuses_transfer_codings_other_than_chunked_with_501() {
    let broker = with_orders(|_| ()).await;
    let request = "POST /control/v1/sync HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a-credential-that-only-this-test-has\r\n\
                   transfer-encoding: gzip, chunked\r\n\r\n";
    let (status, answer) = answered_at(broker.address("--control-listen"), request).await;
    assert!(status == 501 && answer.contains(&ProblemType::TransferCodingUnsupported.uri()), "{answer}");
}

#[tokio::test]
async fn chunked_twice_is_400_and_stores_nothing() {
    let broker = Broker::serving(ORDERS);
    for codings in
        ["transfer-encoding: chunked, chunked", "transfer-encoding: chunked\r\ntransfer-encoding: chunked"]
    {
        let request =
            format!("POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\n{codings}\r\n\r\n");
        assert_refused(&broker, &request, 400, ProblemType::HeaderMalformed).await;
    }
}

#[tokio::test]
async fn a_request_without_exactly_one_valid_host_is_400() {
    let broker = Broker::serving(ORDERS);
    for (target, hosts) in [
        ("/v1/messages/acme/orders", "host: localhost\r\nhost: localhost\r\n"),
        ("/v1/messages/acme/orders", "host: localhost\r\nhost: evil.example\r\n"),
        ("/v1/messages/acme/orders", "host: localhost:evil\r\n"),
        ("/v1/messages/acme/orders", "host: localhost:99999\r\n"),
        ("/v1/messages/acme/orders", "host: evil.example@localhost\r\n"),
        ("/v1/messages/acme/orders", ""),
        ("http://evil.example/v1/messages/acme/orders", "host: localhost\r\n"),
        ("http://localhost:1/v1/messages/acme/orders", "host: localhost:2\r\n"),
        ("http://localhost/v1/messages/acme/orders", ""),
    ] {
        let request = format!("POST {target} HTTP/1.1\r\n{hosts}content-length: 1\r\n\r\nx");
        assert_refused(&broker, &request, 400, ProblemType::HeaderMalformed).await;
    }
    let same = "POST http://localhost/v1/messages/acme/orders HTTP/1.1\r\nhost: localhost:80\r\ncontent-length: 1\r\n\r\nx";
    assert_eq!(answered(&broker, same).await.0, 201);
}

#[tokio::test]
async fn an_empty_body_counts_as_no_body_with_any_framing() {
    let broker = with_orders(|_| ()).await;
    for framing in ["", "content-length: 0\r\n", "transfer-encoding: chunked\r\n"] {
        let end = if framing.contains("chunked") { "0\r\n\r\n" } else { "" };
        let ask = async |method: &str, path: &str| {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n{end}");
            answered(&broker, &request).await
        };
        for _ in 0..6 {
            broker.pushed("acme/orders", "x").await;
        }
        let lease = |answer: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix("location: "));
            line.unwrap_or_else(|| panic!("{framing:?}: {answer}")).to_owned()
        };
        let (status, answer) = ask("POST", "/v1/receive/acme/orders?wait=5").await;
        assert_eq!(status, 200, "{framing:?}: {answer}");
        assert_eq!(ask("DELETE", &lease(&answer)).await.0, 204, "{framing:?}");
        for (rest, expected) in [("/renew", 200), ("/release?delay=3600", 204), ("/reject", 204)] {
            let (status, answer) = ask("GET", "/v1/messages/acme/orders?wait=5").await;
            assert_eq!(status, 200, "{framing:?}: {answer}");
            assert_eq!(
                ask("POST", &format!("{}{rest}", lease(&answer))).await.0,
                expected,
                "{framing:?} {rest}"
            );
        }
        for path in [
            "/v1/batches/acme/orders?wait=5",
            "/v1/peek/acme/orders",
            "/v1/channels/acme/orders",
            "/openapi.json",
        ] {
            assert_eq!(ask("GET", path).await.0, 200, "{framing:?} {path}");
        }
        for path in ["/v1/messages/acme/orders", "/v1/batches/acme/orders", "/v1/peek/acme/orders"] {
            assert_eq!(ask("HEAD", path).await.0, 200, "{framing:?} {path}");
        }
    }
}

#[tokio::test]
async fn an_empty_http_2_data_frame_counts_as_no_body_and_one_byte_is_a_body() {
    let broker = with_orders(|_| ()).await;
    let h2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/v1/receive/acme/orders?wait=5", broker.data());
    let streamed = |chunks: &[&'static str]| {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok::<_, std::io::Error>(*chunk)).collect();
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    broker.pushed("acme/orders", "x").await;
    for chunks in [&["x"][..], &["", "x"]] {
        let response = h2.post(&url).body(streamed(chunks)).send().await.unwrap();
        crate::broker::assert_problem(response, 400, ProblemType::BodyUnexpected).await;
    }
    let response = h2.post(&url).body(streamed(&[])).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let settle = format!("http://{}{}", broker.data(), header(&response, "location"));
    let response = h2.delete(settle).body(streamed(&["", ""])).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(stats(&broker, "orders").await.messages(), 0);
}

#[tokio::test]
async fn an_unexpected_body_is_400_and_an_announced_one_that_never_arrives_is_408() {
    let broker = Broker::with_flags(ORDERS, &["--body-timeout", "0.5"]);
    broker.pushed("acme/orders", "x").await;
    for (body, status) in [
        ("content-length: 1\r\n\r\nx", 400),
        ("transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 400),
        // Half of a chunk's length, followed by silence.
        ("transfer-encoding: chunked\r\n\r\n", 408),
    ] {
        let mut stream = TcpStream::connect(broker.data()).await.unwrap();
        let request = format!("POST /v1/receive/acme/orders?wait=0 HTTP/1.1\r\nhost: localhost\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = timeout(DEADLINE, stream.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body:?}: {answer}");
    }
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 0.0);
    let response = broker.request(Method::HEAD, "/v1/messages/acme/orders").send().await.unwrap();
    assert_eq!(header(&response, "message-ready"), "1");
}

#[tokio::test]
async fn malformed_chunks_are_400_with_body_malformed_which_clients_do_not_retry() {
    let broker = Broker::serving(ORDERS);
    for chunks in ["g\r\nx\r\n0\r\n\r\n", "-1\r\nx\r\n0\r\n\r\n"] {
        let request = format!(
            "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"
        );
        let answer = crate::raw::answer(&mut crate::raw::sent(&broker, request).await).await;
        assert_eq!(answer.status, 400, "{chunks:?}");
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains("/body-malformed"), "{chunks:?}: {body}");
    }
}
