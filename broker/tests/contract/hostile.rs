//! Hostile clients: others are served meanwhile, and memory stays bounded.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    broker::{Broker, ORDERS, assert_problem, header},
    h2,
    operator::{orders, with_channels_and_flags},
    raw::{answer, connect, sent, status, until_closed},
};

/// Maximum cost of an attack: buffers, and the allocator's reserve.
const MEMORY_BYTES_MAX: f64 = 64e6;

/// The round of an honest client: push, pull, settle.
async fn others_are_served(broker: &Broker) {
    broker.pushed("acme/orders", "honest").await;
    let (content, lease) = broker.pulled("acme/orders").await;
    assert_eq!(content, b"honest");
    let response = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

async fn memory(broker: &Broker) -> f64 {
    broker.metric("process_resident_memory_bytes").await
}

#[tokio::test]
async fn a_connection_with_slow_headers_is_closed() {
    let broker = Broker::with_flags(ORDERS, &["--head-timeout", "0.5"]);
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&broker).await;
        stream.write_all(b"GET /v1/messages/acme/orders HTTP/1.1\r\nx: ").await.unwrap();
        slow.push(stream);
    }
    others_are_served(&broker).await;
    for mut stream in slow {
        assert_eq!(until_closed(&mut stream).await, b"");
    }
    others_are_served(&broker).await;
}

#[tokio::test]
async fn slow_bodies_are_408_and_their_memory_is_released() {
    let orders = orders(|orders| orders.limits.message_bytes = 10 << 20);
    let flags = ["--body-timeout", "0.5", "--body-memory", "32MiB", "--segment-size", "32MiB"];
    let broker = with_channels_and_flags(&[orders], &flags).await;
    let mut slow = Vec::new();
    for _ in 0..30 {
        let mut stream = connect(&broker).await;
        let head = format!(
            "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\nx",
            10 << 20
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    broker.wait_for_metric("restante_requests_open", 30.0).await;
    others_are_served(&broker).await;
    for mut stream in slow {
        let answer = until_closed(&mut stream).await;
        assert_eq!(status(&answer), 408);
        assert!(String::from_utf8_lossy(&answer).contains("body-timeout"));
    }
    broker.wait_for_metric("restante_body_memory_bytes", 0.0).await;
}

#[tokio::test]
async fn slow_readers_are_disconnected() {
    let orders = orders(|orders| orders.limits.message_bytes = 15 << 20);
    let flags = ["--write-timeout", "0.5", "--segment-size", "32MiB"];
    let broker = with_channels_and_flags(&[orders], &flags).await;
    for _ in 0..5 {
        broker.pushed("acme/orders", vec![7; 15 << 20]).await;
    }
    let mut slow = Vec::new();
    for _ in 0..5 {
        let mut stream = connect(&broker).await;
        stream
            .write_all(b"POST /v1/receive/acme/orders?ack=auto HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        slow.push(stream);
    }
    broker.wait_for_metric("restante_write_timeouts_total", 5.0).await;
    others_are_served(&broker).await;
}

#[tokio::test]
async fn unread_answers_are_bounded_in_memory_and_pushes_continue() {
    let orders = orders(|orders| orders.limits.message_bytes = 15 << 20);
    let flags = ["--answer-memory", "16MiB", "--segment-size", "32MiB"];
    let broker = with_channels_and_flags(&[orders], &flags).await;
    broker.pushed("acme/orders", vec![7; 15 << 20]).await;
    let mut stuck = connect(&broker).await;
    stuck.write_all(b"GET /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    broker.wait_for_metric("restante_answer_memory_bytes", f64::from(15 << 20)).await;
    broker.pushed("acme/orders", "x").await;
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "1");
    assert_problem(response, 503, ProblemType::Busy).await;
    drop(stuck);
    broker.wait_for_metric("restante_answer_memory_bytes", 0.0).await;
    for bytes in [15 << 20, 1] {
        let response = broker.pull_with_ack_auto("acme/orders", "wait=0").send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap().len(), bytes, "it came back");
    }
    others_are_served(&broker).await;
}

#[tokio::test]
async fn ten_thousand_idle_connections_cost_little_and_others_are_served() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: before.maximum, ..before };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).unwrap();
    assert!(before.maximum.is_none_or(|files| files > 11_000), "this system allows {before:?} open files");
    let broker = Broker::with_flags(ORDERS, &["--head-timeout", "60"]);
    others_are_served(&broker).await;
    let memory_before = memory(&broker).await;
    let mut idle = Vec::new();
    for _ in 0..10_000 {
        idle.push(connect(&broker).await);
    }
    others_are_served(&broker).await;
    let each = (memory(&broker).await - memory_before) / 10_000.0;
    assert!(each < 16e3, "{each} bytes of memory each");
    drop(idle);
    broker.wait_for_metric("restante_connections", 0.0).await;
}

/// Waiting receivers, each on a connection of its own.
async fn waiting(broker: &Broker, count: usize) -> Vec<TcpStream> {
    let request = "GET /v1/messages/acme/orders?wait=20 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..count {
        waiting.push(sent(broker, request).await);
    }
    broker.wait_for_metric("restante_waiting_receivers", count as f64).await;
    waiting
}

#[tokio::test]
async fn busy_connections_above_the_limit_are_closed_until_other_connections_end() {
    let broker = Broker::with_flags(ORDERS, &["--connections-max", "16"]);
    // One client gets at most three quarters of the connections.
    let held = waiting(&broker, 12).await;
    assert_eq!(until_closed(&mut connect(&broker).await).await, b"");
    assert_eq!(broker.metric("restante_connections_refused_total").await, 1.0);
    drop(held);
    broker.wait_for_metric("restante_connections", 0.0).await;
    others_are_served(&broker).await;
}

#[tokio::test]
async fn the_oldest_idle_connection_is_closed_for_a_new_one_at_the_limit() {
    let broker = Broker::with_flags(ORDERS, &["--connections-max", "4"]);
    let mut oldest = connect(&broker).await;
    let _others = [connect(&broker).await, connect(&broker).await];
    broker.wait_for_metric("restante_connections", 3.0).await;
    others_are_served(&broker).await;
    assert_eq!(until_closed(&mut oldest).await, b"");
    assert_eq!(broker.metric("restante_connections_refused_total").await, 0.0);
}

#[tokio::test]
async fn an_idle_connection_is_kept_longer_than_the_head_timeout() {
    let broker = Broker::with_flags(ORDERS, &["--head-timeout", "0.5", "--keep-alive", "60"]);
    let mut idle = connect(&broker).await;
    let mut slow = connect(&broker).await;
    for stream in [&mut idle, &mut slow] {
        stream.write_all(b"GET /v1/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(answer(stream).await.status, 404);
    }
    slow.write_all(b"GET /v1/noth").await.unwrap();
    assert_eq!(until_closed(&mut slow).await, b"", "its next head takes too long");
    idle.write_all(b"GET /v1/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut idle).await.status, 404);
}

#[tokio::test]
async fn an_idle_connection_of_either_http_version_is_closed_after_the_keep_alive_time() {
    let broker = Broker::with_flags(ORDERS, &["--keep-alive", "0.5"]);
    let mut first = connect(&broker).await;
    first.write_all(b"GET /v1/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut first).await.status, 404);
    let mut second = sent(&broker, h2::PREFACE).await;
    second
        .write_all(&h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, 1, &pull_headers()))
        .await
        .unwrap();
    broker.pushed("acme/orders", "x").await;
    // Pings do not keep the connection open.
    for _ in 0..10 {
        second.write_all(&h2::frame(h2::PING, 0, 0, &[0; 8])).await.unwrap();
    }
    let answer = until_closed(&mut second).await;
    assert!(answer.windows(5).any(|window| window == b"\x07\0\0\0\0"), "GOAWAY is sent");
    assert_eq!(until_closed(&mut first).await, b"");
}

#[tokio::test]
async fn an_http_2_peer_that_floods_with_control_frames_is_disconnected() {
    let broker = Broker::serving(ORDERS);
    for (kind, payload) in [(h2::SETTINGS, &[][..]), (h2::PING, &[0; 8]), (h2::PRIORITY, &[0, 0, 0, 0, 9])] {
        let mut stream = sent(&broker, h2::PREFACE).await;
        let stream_id = if kind == h2::PRIORITY { 1 } else { 0 };
        let flood = h2::frame(kind, 0, stream_id, payload).repeat(1000);
        let mut sent = 0;
        while stream.write_all(&flood).await.is_ok() && sent < 64 << 20 {
            sent += flood.len();
        }
        assert!(sent < 64 << 20, "frames of type {kind} are taken on and on");
    }
    others_are_served(&broker).await;
}

#[tokio::test]
async fn probes_are_answered_while_one_client_holds_more_connections_than_their_port_allows() {
    let broker = Broker::serving(ORDERS);
    let mut held = Vec::new();
    for _ in 0..1010 {
        held.push(TcpStream::connect(broker.address("--admin-listen")).await.unwrap());
    }
    assert_eq!(broker.admin("/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn header_floods_are_431_and_take_bounded_memory() {
    let broker = Broker::serving(ORDERS);
    others_are_served(&broker).await;
    let before = memory(&broker).await;
    let many = "x: y\r\n".repeat(1000);
    let large = format!("x: {}\r\n", "y".repeat(1 << 20));
    for flood in [many, large] {
        for _ in 0..20 {
            let mut stream = connect(&broker).await;
            let head =
                format!("GET /v1/messages/acme/orders?wait=0 HTTP/1.1\r\nhost: localhost\r\n{flood}\r\n");
            // The broker may close before all of it is written.
            let _ = stream.write_all(head.as_bytes()).await;
            assert_eq!(status(&until_closed(&mut stream).await), 431);
        }
    }
    // A head that never ends.
    let mut stream = connect(&broker).await;
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n").await;
    while stream.write_all("x: y\r\n".repeat(1000).as_bytes()).await.is_ok() {}
    others_are_served(&broker).await;
    let grown = memory(&broker).await - before;
    assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes of memory");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let broker = Broker::serving(ORDERS);
    let mut stream = connect(&broker).await;
    let mut requests = String::new();
    for number in 0..50 {
        let body = format!("{number:02}");
        requests += &format!(
            "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{body}"
        );
    }
    for _ in 0..50 {
        requests += "GET /v1/messages/acme/orders?wait=0 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    }
    requests +=
        "GET /v1/messages/acme/orders?wait=0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = String::from_utf8(until_closed(&mut stream).await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 201 Created").count(), 50);
    let bodies: Vec<_> = answers
        .split("HTTP/1.1 200 OK")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1[..2].to_owned())
        .collect();
    assert_eq!(bodies, (0..50).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    assert!(answers.contains("HTTP/1.1 204 No Content"));
}

#[tokio::test]
async fn conflicting_lengths_and_absurd_chunks_smuggle_nothing() {
    let broker = Broker::with_flags(ORDERS, &["--body-timeout", "0.5"]);
    let smuggled =
        "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\n\r\nsmuggled";
    for (headers, body) in [
        // One peer could take the body for a request.
        ("content-length: 5\r\ncontent-length: 100", "12345".to_owned()),
        ("content-length: 5, 100", "12345".to_owned()),
        ("content-length: -1", String::new()),
        ("content-length: 99999999999999999999", String::new()),
        ("transfer-encoding: chunked, identity", format!("0\r\n\r\n{smuggled}")),
        ("transfer-encoding: xchunked", format!("0\r\n\r\n{smuggled}")),
        ("transfer-encoding: chunked", "fffffffffffffffff\r\nx".into()),
        ("transfer-encoding: chunked", "ffffffffffffffff\r\nx".into()),
        ("transfer-encoding: chunked", "-1\r\nx".into()),
        ("transfer-encoding: chunked", "5\r\n1234567\r\n0\r\n\r\n".into()),
        ("transfer-encoding: chunked", format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(100_000))),
    ] {
        let mut stream = connect(&broker).await;
        let request =
            format!("POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{body}");
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = until_closed(&mut stream).await;
        assert!(matches!(status(&answer), 0 | 400 | 408), "{headers}: {}", String::from_utf8_lossy(&answer));
        assert!(!String::from_utf8_lossy(&answer).contains("201 Created"), "{headers}");
    }
    assert_eq!(broker.metric("restante_messages_pushed_total").await, 0.0);
    // Both at once: only the chunks count, and the connection closes (RFC 9112 section 6.3), so that no two readers
    // read the following bytes differently.
    for both in
        ["content-length: 3\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 3"]
    {
        let mut stream = connect(&broker).await;
        let request = format!(
            "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\n{both}\r\n\r\n\
             1\r\nx\r\n0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(status(&until_closed(&mut stream).await), 201);
        let response = broker.pull_with_ack_auto("acme/orders", "wait=0").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "x");
    }
    assert_eq!(broker.metric("restante_messages_pushed_total").await, 2.0);
    others_are_served(&broker).await;
}

/// The header fields of a pull.
fn pull_headers() -> Vec<u8> {
    h2::block(&h2::request("GET", "/v1/messages/acme/orders"))
}

#[tokio::test]
async fn an_http_2_client_that_resets_its_own_requests_is_disconnected() {
    let broker = Broker::serving(ORDERS);
    others_are_served(&broker).await;
    let before = memory(&broker).await;
    for _ in 0..5 {
        let mut stream = connect(&broker).await;
        stream.write_all(h2::PREFACE).await.unwrap();
        let mut flood = Vec::new();
        for number in 0..2000 {
            let id = number * 2 + 1;
            flood.extend(h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, id, &pull_headers()));
            flood.extend(h2::frame(h2::RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        }
        // The broker may close before all of it is written.
        let _ = stream.write_all(&flood).await;
        let answer = until_closed(&mut stream).await;
        // GOAWAY is frame type 7, and ENHANCE_YOUR_CALM error 11 (RFC 9113 sections 6.8 and 7).
        let calm = h2::frame(h2::GOAWAY, 0, 0, &[0; 8]);
        assert!(answer.windows(5).any(|window| window[..] == calm[3..8]), "it got GOAWAY");
        assert!(answer.windows(4).any(|window| window == [0, 0, 0, 11]), "and to calm down");
    }
    others_are_served(&broker).await;
    broker.wait_for_metric("restante_waiting_receivers", 0.0).await;
    let grown = memory(&broker).await - before;
    assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes of memory");
}

#[tokio::test]
async fn an_http_2_client_whose_headers_never_end_is_disconnected() {
    let broker = Broker::serving(ORDERS);
    others_are_served(&broker).await;
    let before = memory(&broker).await;
    for _ in 0..5 {
        let mut stream = connect(&broker).await;
        stream.write_all(h2::PREFACE).await.unwrap();
        // HEADERS without END_HEADERS, and CONTINUATION without end.
        stream.write_all(&h2::frame(h2::HEADERS, h2::END_STREAM, 1, &pull_headers())).await.unwrap();
        let mut literal = vec![0, 1, b'x', 0x7f, 0x81, 0x7d];
        literal.extend([b'y'; 16_000]);
        let more = h2::frame(h2::CONTINUATION, 0, 1, &literal);
        let mut sent = 0;
        while stream.write_all(&more).await.is_ok() && sent < 64 << 20 {
            sent += more.len();
        }
        assert!(sent < 64 << 20, "the broker reads on and on");
        until_closed(&mut stream).await;
    }
    others_are_served(&broker).await;
    let grown = memory(&broker).await - before;
    assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes of memory");
}

#[tokio::test]
async fn one_port_serves_http_1_and_http_2() {
    let broker = Broker::serving(ORDERS);
    let h2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/v1/messages/acme/orders", broker.data());
    let response = h2.post(&url).body("over h2").send().await.unwrap();
    assert_eq!((response.version(), response.status()), (reqwest::Version::HTTP_2, StatusCode::CREATED));
    assert_eq!(broker.pulled("acme/orders").await.0, b"over h2");
    broker.pushed("acme/orders", vec![7; 1 << 20]).await;
    let response = h2.get(&url).send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
    assert_eq!(response.bytes().await.unwrap().len(), 1 << 20);
    let response = h2.get(format!("http://{}/v1/nothing", broker.data())).send().await.unwrap();
    assert_problem(response, 404, ProblemType::RouteUnknown).await;
    drop(h2);
    // Many requests in a row on one HTTP/1.1 connection.
    let h1 = reqwest::Client::new();
    for _ in 0..3 {
        let response = h1.get(format!("{url}?wait=0")).timeout(Duration::from_secs(20)).send().await.unwrap();
        assert_eq!(
            (response.version(), response.status()),
            (reqwest::Version::HTTP_11, StatusCode::NO_CONTENT)
        );
    }
}

#[tokio::test]
async fn unexpected_http_2_frames_of_a_peer_are_not_logged() {
    let mut broker = Broker::serving(ORDERS);
    let mut stream = sent(&broker, h2::PREFACE).await;
    // Answers to pings that were never sent: the library would log each.
    const ACK: u8 = 1;
    stream.write_all(&h2::frame(h2::PING, ACK, 0, &[7; 8]).repeat(500)).await.unwrap();
    others_are_served(&broker).await;
    drop(stream);
    broker.signal(rustix::process::Signal::TERM);
    assert_eq!(broker.wait_for_log("h2::proto"), None);
}
