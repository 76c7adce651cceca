//! Every memory limit holds under load: while a hundred clients send requests and then read or send nothing more,
//! the broker stays within its memory and serves other clients. When those clients are gone, it keeps nothing of them.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    broker::Broker,
    h2,
    operator::{channel, with_channels_and_flags},
    raw::sent,
};

/// Concurrent requests.
const AT_ONCE: usize = 100;
/// The sum of the limits that the flags of these tests set.
const FLAGS_BYTES: u64 = (32 + 32 + 16) << 20;
/// Buffers of connections, and the allocator's reserve.
const BESIDES_BYTES: u64 = 48 << 20;
/// The longest wait that still counts as served.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// The behaviour of an unfair client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfair {
    ReadNothing,
    SendNothing,
}

/// A broker with little memory, 48 messages of 1 MiB in one channel, and none in another.
async fn broker() -> Broker {
    let flags = [
        ["--body-memory", "32MiB"],
        ["--answer-memory", "32MiB"],
        ["--hot-body-memory", "16MiB"],
        ["--segment-size", "8MiB"],
    ];
    let broker = with_channels_and_flags(&[channel("orders"), channel("bills")], &flags.concat()).await;
    for _ in 0..48 {
        broker.pushed("acme/orders", vec![b'x'; 1 << 20]).await;
    }
    broker
}

/// The longest of a few pushes to another channel.
async fn longest_push(broker: &Broker) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        broker.pushed("acme/bills", "x").await;
        longest = longest.max(began.elapsed());
    }
    longest
}

/// The requests over HTTP/1, one connection each.
async fn over_http_1(
    broker: &Broker,
    method: &str,
    path: &str,
    headers: &str,
    unfair: Unfair,
) -> Vec<TcpStream> {
    let length = if unfair == Unfair::SendNothing { "content-length: 1000000\r\n" } else { "" };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n");
    let mut streams = Vec::new();
    for _ in 0..AT_ONCE {
        streams.push(sent(broker, &head).await);
    }
    streams
}

/// The requests over HTTP/2, all on one connection, whose windows stay shut.
async fn over_http_2(
    broker: &Broker,
    method: &str,
    path: &str,
    headers: &str,
    unfair: Unfair,
) -> Vec<TcpStream> {
    let mut bytes = h2::preface_with_window(0);
    let headers = headers.lines().filter_map(|line| line.split_once(": "));
    let fields: Vec<_> = h2::request(method, path).into_iter().chain(headers).collect();
    let flags =
        if unfair == Unfair::SendNothing { h2::END_HEADERS } else { h2::END_HEADERS | h2::END_STREAM };
    for number in 0..AT_ONCE as u32 {
        bytes.extend(h2::frame(h2::HEADERS, flags, number * 2 + 1, &h2::block(&fields)));
    }
    let mut stream = sent(broker, &bytes).await;
    stream.flush().await.unwrap();
    vec![stream]
}

/// A hundred such requests, over both versions of HTTP.
async fn assert_stays_within_memory(method: &str, path: &str, headers: &str, unfair: Unfair) {
    for version in ["HTTP/1.1", "HTTP/2"] {
        let broker = broker().await;
        let (before, quiet) = (broker.peak_memory(), longest_push(&broker).await);
        let held = match version {
            "HTTP/2" => over_http_2(&broker, method, path, headers, unfair).await,
            _ => over_http_1(&broker, method, path, headers, unfair).await,
        };
        broker.wait_for_quiet().await;
        let longest = longest_push(&broker).await;
        let grown = broker.peak_memory().saturating_sub(before);
        eprintln!(
            "{method} {path} × {AT_ONCE}, {unfair:?}, {version}: {} MiB more, a push took {quiet:?} before and {longest:?}",
            grown >> 20
        );
        assert!(grown < FLAGS_BYTES + BESIDES_BYTES, "{method} {path} over {version}: {grown} bytes more");
        assert!(longest < SERVED_WITHIN, "{method} {path} over {version}: a push took {longest:?}");
        drop(held);
        for metric in ["restante_body_memory_bytes", "restante_answer_memory_bytes", "restante_requests_open"]
        {
            broker.wait_for_metric(metric, 0.0).await;
        }
        broker.wait_for_metric("restante_waiting_receivers", 0.0).await;
    }
}

macro_rules! stays_within_memory {
    ($($name:ident: $unfair:ident $method:literal $path:literal $headers:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            assert_stays_within_memory($method, $path, $headers, Unfair::$unfair).await;
        })*
    };
}

stays_within_memory! {
    pulls_whose_clients_read_nothing_stay_within_memory: ReadNothing "GET" "/v1/messages/acme/orders?wait=1" "";
    pulls_by_post_whose_clients_read_nothing_stay_within_memory: ReadNothing "POST" "/v1/receive/acme/orders?wait=1" "";
    batches_whose_clients_read_nothing_stay_within_memory: ReadNothing "GET" "/v1/batches/acme/orders?wait=1&max=8" "";
    framed_batches_whose_clients_read_nothing_stay_within_memory:
        ReadNothing "GET" "/v1/batches/acme/orders?wait=1&max=8" "accept: application/vnd.restante.batch\r\n";
    streams_whose_clients_read_nothing_stay_within_memory:
        ReadNothing "GET" "/v1/messages/acme/orders?in_flight=100" "accept: text/event-stream\r\n";
    peeks_whose_clients_read_nothing_stay_within_memory: ReadNothing "GET" "/v1/peek/acme/orders?max=8" "";
    documents_whose_clients_read_nothing_stay_within_memory: ReadNothing "GET" "/openapi.json" "";
    counts_whose_clients_read_nothing_stay_within_memory: ReadNothing "GET" "/v1/channels/acme/orders" "";
    problems_whose_clients_read_nothing_stay_within_memory: ReadNothing "GET" "/v1/nothing" "";
    pushes_whose_clients_send_nothing_stay_within_memory: SendNothing "POST" "/v1/messages/acme/orders" "";
    pushed_batches_whose_clients_send_nothing_stay_within_memory:
        SendNothing "POST" "/v1/batches/acme/orders" "content-type: application/json\r\n";
    settlements_whose_clients_send_nothing_stay_within_memory:
        SendNothing "POST" "/v1/settlements" "content-type: application/json\r\n";
    pulls_whose_clients_announce_a_body_and_send_nothing_stay_within_memory:
        SendNothing "POST" "/v1/receive/acme/orders?wait=1" "";
}

#[tokio::test]
async fn messages_for_waiting_receivers_that_read_nothing_are_leased_within_the_memory_limit() {
    let flags = [["--answer-memory", "32MiB"], ["--hot-body-memory", "16MiB"], ["--segment-size", "8MiB"]];
    let broker = with_channels_and_flags(&[channel("orders"), channel("bills")], &flags.concat()).await;
    let path = "/v1/messages/acme/orders?wait=20&lease=600";
    let held = over_http_2(&broker, "GET", path, "", Unfair::ReadNothing).await;
    broker.wait_for_metric("restante_waiting_receivers", AT_ONCE as f64).await;
    let before = broker.peak_memory();
    for _ in 0..60 {
        broker.pushed("acme/orders", vec![b'x'; 1 << 20]).await;
    }
    // One client gets three quarters of the memory.
    assert_eq!(broker.metric("restante_messages_delivered_total").await, 24.0);
    assert!(broker.peak_memory() - before < FLAGS_BYTES + BESIDES_BYTES);
    longest_push(&broker).await;
    drop(held);
    broker.wait_for_metric("restante_answer_memory_bytes", 0.0).await;
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(crate::broker::header(&response, "message-deliveries"), "1", "it came back uncounted");
}

#[tokio::test]
async fn an_http_2_stream_whose_window_stays_closed_is_reset_and_its_connection_serves_others() {
    let broker = with_channels_and_flags(&[channel("orders")], &["--write-timeout", "0.5"]).await;
    broker.pushed("acme/orders", vec![b'x'; 100_000]).await;
    let mut bytes = h2::preface_with_window(0);
    for (number, path) in [(1, "/v1/messages/acme/orders?wait=0"), (3, "/v1/messages/acme/orders?wait=20")] {
        let block = h2::block(&h2::request("GET", path));
        bytes.extend(h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, number, &block));
    }
    let mut stream = sent(&broker, &bytes).await;
    // The first stream is reset, and its message goes to the second, which is reset as well.
    let reset = h2::next_of(&mut stream, h2::RST_STREAM).await;
    assert_eq!(reset.stream, 1);
    broker.wait_for_metric("restante_write_timeouts_total", 1.0).await;
    let block = h2::block(&h2::request("GET", "/v1/channels/acme/orders"));
    stream.write_all(&h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, 5, &block)).await.unwrap();
    let answered = h2::next_of(&mut stream, h2::HEADERS).await;
    assert!([3, 5].contains(&answered.stream));
}

#[tokio::test]
async fn a_push_is_stored_while_other_clients_announce_bodies_that_never_arrive() {
    let broker = with_channels_and_flags(&[channel("orders")], &["--body-memory", "64MiB"]).await;
    let head = "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1048576\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(sent(&broker, head).await);
    }
    broker.wait_for_metric("restante_requests_open", 200.0).await;
    broker.pushed("acme/orders", "x").await;
}

#[tokio::test]
async fn an_http_2_stream_whose_window_grows_by_single_bytes_is_reset() {
    let broker = with_channels_and_flags(&[channel("orders")], &["--write-timeout", "1"]).await;
    broker.pushed("acme/orders", vec![b'x'; 1 << 20]).await;
    let block = h2::block(&h2::request("GET", "/v1/messages/acme/orders?wait=0"));
    let request = h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, 1, &block);
    let mut stream = sent(&broker, [h2::preface_with_window(0), request].concat()).await;
    let (mut reading, mut writing) = stream.split();
    let drip = async {
        loop {
            let update = h2::frame(h2::WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes());
            if writing.write_all(&update).await.is_err() {
                std::future::pending::<()>().await;
            }
            h2::next_of(&mut reading, h2::DATA).await;
            // A scrape in between, so that it does not count as a flood.
            broker.metric("restante_requests_open").await;
        }
    };
    let reset = broker.wait_for_metric("restante_write_timeouts_total", 1.0);
    tokio::select! {
        () = drip => unreachable!("it drips for ever"),
        () = reset => {}
    }
    broker.wait_for_metric("restante_answer_memory_bytes", 0.0).await;
}

#[tokio::test]
async fn a_connection_whose_answer_is_still_read_is_not_idle() {
    let broker = with_channels_and_flags(&[channel("orders")], &["--keep-alive", "0.3"]).await;
    broker.pushed("acme/orders", vec![b'x'; 1 << 20]).await;
    let block = h2::block(&h2::request("GET", "/v1/messages/acme/orders?wait=0"));
    let request = h2::frame(h2::HEADERS, h2::END_HEADERS | h2::END_STREAM, 1, &block);
    let mut stream = sent(&broker, [h2::preface_with_window(1000), request].concat()).await;
    h2::next_of(&mut stream, h2::DATA).await;
    // Longer than the idle timeout, by the broker's own clock: another connection has come and gone meanwhile.
    let request = "GET /v1/nothing HTTP/1.1\r\nhost: localhost\r\n\r\n";
    crate::raw::until_closed(&mut sent(&broker, request).await).await;
    let update = h2::frame(h2::WINDOW_UPDATE, 0, 1, &1000_u32.to_be_bytes());
    stream.write_all(&update).await.unwrap();
    h2::next_of(&mut stream, h2::DATA).await;
}

#[tokio::test]
async fn a_body_that_stalls_after_a_burst_is_408() {
    let flags = ["--body-timeout", "0.5", "--body-memory", "32MiB"];
    let broker = with_channels_and_flags(&[channel("orders")], &flags).await;
    let head = "POST /v1/messages/acme/orders HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n";
    let mut stream = sent(&broker, [head.as_bytes(), &[b'x'; 900_000]].concat()).await;
    assert_eq!(crate::raw::answer(&mut stream).await.status, 408);
}
