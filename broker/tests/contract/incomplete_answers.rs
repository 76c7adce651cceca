//! If a connection fails before the last byte of its answer reached the kernel, the message is released at once,
//! uncounted. A later loss costs one delivery, and lasts until its lease ends.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    broker::{Broker, header},
    operator::{control, orders, put, with_channels_and_flags, with_orders},
    policies::stats,
};

/// Far more than the kernel buffers for a connection.
const LARGE: usize = 15 << 20;

/// A broker whose channel and log accept such messages.
async fn for_large_messages(flags: &[&str]) -> Broker {
    let orders = orders(|orders| orders.limits.message_bytes = LARGE as u64);
    with_channels_and_flags(&[orders], &[&["--segment-size", "32MiB"], flags].concat()).await
}

/// A receiver that has pulled, and has read only the head of its answer.
async fn pull_and_read_head(broker: &Broker) -> TcpStream {
    let mut stream = TcpStream::connect(broker.data()).await.unwrap();
    let request = "GET /v1/messages/acme/orders?wait=5&lease=3600 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    stream
}

#[tokio::test]
async fn a_message_whose_receiver_hung_up_before_the_whole_answer_is_ready_at_once_and_uncounted() {
    let broker = for_large_messages(&[]).await;
    broker.pushed("acme/orders", vec![7; LARGE]).await;
    let stream = pull_and_read_head(&broker).await;
    assert_eq!(stats(&broker, "orders").await.leased, 1);
    let next = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    drop(stream);
    let response = next.await.unwrap().unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
    assert_eq!(response.bytes().await.unwrap().len(), LARGE);
}

#[tokio::test]
async fn messages_whose_answers_were_incomplete_at_the_end_of_the_drain_are_ready_and_uncounted() {
    const RECEIVERS: usize = 4;
    let mut broker = for_large_messages(&["--drain-seconds", "1"]).await;
    let mut streams = Vec::new();
    for _ in 0..RECEIVERS {
        broker.pushed("acme/orders", vec![7; LARGE]).await;
        streams.push(pull_and_read_head(&broker).await);
    }
    assert!(broker.stop().success());
    broker.start();
    for _ in 0..RECEIVERS {
        let response = broker.pull_with_ack_auto("acme/orders", "wait=0").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "message-deliveries"), "1");
        assert_eq!(response.bytes().await.unwrap().len(), LARGE);
    }
}

#[tokio::test]
async fn a_message_whose_answer_was_written_whole_stays_leased_after_its_receiver_hung_up() {
    let broker = with_orders(|_| ()).await;
    for content in ["x", ""] {
        broker.pushed("acme/orders", content).await;
        let mut stream = pull_and_read_head(&broker).await;
        stream.read_exact(&mut vec![0; content.len()]).await.unwrap();
        drop(stream);
        // The lease outlives the connection.
        broker.wait_for_metric("restante_connections", 0.0).await;
        let found = stats(&broker, "orders").await;
        assert_eq!((found.leased, found.ready), (1, 0), "{content:?}");
        let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_replaced(&broker).await;
    }
}

/// Replaces this channel by another one, so that the lease of the unread answer is unknown.
async fn assert_replaced(broker: &Broker) {
    let uid = orders(|_| ()).uid;
    control(broker, Method::DELETE, &format!("channels/{uid}?force=true"), String::new()).await;
    let mut again = orders(|_| ());
    again.uid = uuid::Uuid::now_v7();
    put(broker, &again).await;
}

#[tokio::test]
async fn a_receiver_that_reads_nothing_of_its_answer_is_disconnected_and_its_message_is_ready() {
    let broker = for_large_messages(&["--write-timeout", "0.3"]).await;
    broker.pushed("acme/orders", vec![7; LARGE]).await;
    let stuck = pull_and_read_head(&broker).await;
    let response =
        broker.pull("acme/orders", "wait=20").timeout(Duration::from_secs(30)).send().await.unwrap();
    assert_eq!(header(&response, "message-deliveries"), "1");
    assert_eq!(broker.metric("restante_write_timeouts_total").await, 1.0);
    drop(stuck);
}

#[tokio::test]
async fn messages_of_a_batch_or_stream_that_were_not_written_are_ready_again() {
    let broker = for_large_messages(&[]).await;
    for (path, accept) in [
        ("/v1/batches/acme/orders?max=2&lease=3600", "application/vnd.restante.batch"),
        ("/v1/messages/acme/orders?in_flight=2&lease=3600", "text/event-stream"),
    ] {
        for _ in 0..2 {
            broker.pushed("acme/orders", vec![b'x'; LARGE / 2]).await;
        }
        let mut stream = TcpStream::connect(broker.data()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        drop(stream);
        for _ in 0..2 {
            let response = broker.pull_with_ack_auto("acme/orders", "wait=20").send().await.unwrap();
            assert_eq!(header(&response, "message-deliveries"), "1", "{path}");
        }
    }
}
