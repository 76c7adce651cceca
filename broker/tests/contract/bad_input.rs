//! Bad input: each gets a problem with advice, and nothing is lost.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::broker::{Broker, DEADLINE, ORDERS, assert_problem, header};

/// Sends raw bytes, ends the sending side, and reads the answer.
async fn raw(broker: &Broker, request: &str) -> String {
    let mut stream = TcpStream::connect(broker.data()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_unknown_address_is_404_on_both_sides() {
    let broker = Broker::serving(ORDERS);
    for request in [broker.push("acme/nothing", "x"), broker.pull("acme/nothing", "wait=0")] {
        let problem = assert_problem(request.send().await.unwrap(), 404, ProblemType::AddressUnknown).await;
        assert!(problem.detail.contains("acme/nothing"), "{}", problem.detail);
    }
}

#[tokio::test]
async fn a_malformed_address_is_400_and_never_normalised() {
    let broker = Broker::serving(ORDERS);
    for path in ["acme/Orders", "acme//orders", "acme/orders/", "acme", "acme%2Forders", "acme/or%64ers", ""]
    {
        for method in [Method::POST, Method::GET] {
            let response = broker.request(method, &format!("/v1/messages/{path}")).send().await.unwrap();
            assert_problem(response, 400, ProblemType::AddressMalformed).await;
        }
    }
}

#[tokio::test]
async fn an_oversize_body_is_413_whether_announced_or_not() {
    let broker = Broker::serving(&ORDERS.replace("messageBytes: 1Mi", "messageBytes: 1000"));
    let large = vec![0_u8; 1001];
    let chunks =
        reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(large.clone())]));
    for body in [reqwest::Body::from(large), chunks] {
        let response = broker.push("acme/orders", body).send().await.unwrap();
        let problem = assert_problem(response, 413, ProblemType::MessageTooLarge).await;
        assert!(problem.detail.contains("1000"), "{}", problem.detail);
    }
    broker.pushed("acme/orders", vec![0; 1000]).await;
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_400_and_stores_nothing() {
    let broker = Broker::serving(ORDERS);
    let answer = raw(
        &broker,
        "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nshort",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("body-incomplete") && answer.contains("5 of 100 bytes"), "{answer}");
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_wait_or_lease_that_is_not_a_whole_number_is_400() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    for query in ["wait=soon", "wait=-1", "wait=1.5", "lease=-1", "lease=0", "lease=", "wait=1&wait=2"] {
        let response = broker.pull("acme/orders", query).send().await.unwrap();
        assert_problem(response, 400, ProblemType::ParameterMalformed).await;
    }
    let response = broker.pull("acme/orders", "").header("prefer", "wait=soon").send().await.unwrap();
    assert_problem(response, 400, ProblemType::HeaderMalformed).await;
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 0.0);
}

#[tokio::test]
async fn an_unknown_parameter_or_parameter_value_is_400() {
    let broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let response = broker.pull("acme/orders", "ack=never").send().await.unwrap();
    assert_problem(response, 400, ProblemType::ParameterMalformed).await;
    let response = broker.pull("acme/orders", "max=5").send().await.unwrap();
    assert_problem(response, 400, ProblemType::ParameterUnknown).await;
    let (_, lease) = broker.pulled("acme/orders").await;
    let response = broker.request(Method::POST, &format!("{lease}/release?until=5")).send().await.unwrap();
    assert_problem(response, 400, ProblemType::ParameterUnknown).await;
}

#[tokio::test]
async fn a_malformed_idempotency_key_is_400_and_stores_nothing() {
    let broker = Broker::serving(ORDERS);
    for key in ["\"open", "two words", ""] {
        let response = broker.push("acme/orders", "x").header("idempotency-key", key).send().await.unwrap();
        assert_problem(response, 400, ProblemType::HeaderMalformed).await;
    }
    assert_eq!(broker.metric("restante_messages_pushed_total").await, 0.0);
}

#[tokio::test]
async fn headers_too_large_for_proxies_are_431() {
    let broker = Broker::serving(ORDERS);
    let response =
        broker.push("acme/orders", "x").header("meta-large", "v".repeat(3000)).send().await.unwrap();
    assert_problem(response, 431, ProblemType::HeadersTooLarge).await;
}

#[tokio::test]
async fn a_wrong_method_is_405_and_allow_names_the_right_ones() {
    let broker = Broker::serving(ORDERS);
    for (method, path, allowed) in [
        (Method::PUT, "/v1/messages/acme/orders", "POST"),
        (Method::GET, "/v1/receive/acme/orders", "POST"),
        (Method::GET, "/v1/leases/token", "DELETE"),
        (Method::DELETE, "/v1/channels/acme/orders", "GET"),
    ] {
        let response = broker.request(method, path).send().await.unwrap();
        assert!(header(&response, "allow").contains(allowed), "{response:?}");
        assert_problem(response, 405, ProblemType::MethodNotAllowed).await;
    }
}

#[tokio::test]
async fn a_path_without_a_route_is_404_problem_json() {
    let broker = Broker::serving(ORDERS);
    for path in ["/", "/v1", "/v2/messages/acme/orders", "/metrics"] {
        let response = broker.request(Method::GET, path).send().await.unwrap();
        assert_problem(response, 404, ProblemType::RouteUnknown).await;
    }
}

#[tokio::test]
async fn a_body_above_the_free_body_memory_is_503_until_memory_is_released() {
    let broker = Broker::with_flags(ORDERS, &["--body-memory", "1000B"]);
    let head = "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 601\r\n\r\n";
    let mut first = crate::raw::sent(&broker, [head.as_bytes(), &[0; 600]].concat()).await;
    let deadline = Instant::now() + DEADLINE;
    while broker.metric("restante_body_memory_bytes").await < 600.0 {
        assert!(Instant::now() < deadline, "the first body did not come");
    }
    let response = broker.push("acme/orders", vec![0; 500]).send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "1");
    assert_problem(response, 503, ProblemType::Busy).await;
    first.write_all(&[0]).await.unwrap();
    assert_eq!(crate::raw::answer(&mut first).await.status, 201);
    broker.pushed("acme/orders", vec![0; 1000]).await;
}

#[tokio::test]
async fn a_new_idempotency_key_above_the_limit_is_503_and_pushes_without_a_key_are_stored() {
    let broker = Broker::with_flags(ORDERS, &["--idempotency-keys-max", "1"]);
    let push = |key: &'static str| broker.push("acme/orders", "x").header("idempotency-key", key).send();
    assert_eq!(push("a").await.unwrap().status(), StatusCode::CREATED);
    assert_problem(push("b").await.unwrap(), 503, ProblemType::TooManyIdempotencyKeys).await;
    assert_eq!(push("a").await.unwrap().status(), StatusCode::CREATED);
    broker.pushed("acme/orders", "x").await;
}
