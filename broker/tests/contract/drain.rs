//! Draining and shutdown.

use reqwest::{Method, StatusCode};
use restante_wire::ProblemType;

use crate::broker::{Broker, ORDERS, assert_problem, header};

#[tokio::test]
async fn a_drain_answers_waiting_receivers_refuses_new_requests_and_serves_settles() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    let lease = header(&broker.pull("acme/orders", "").send().await.unwrap(), "location");
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;

    // An open request keeps the broker running for the others: its body is not complete yet.
    let (body, chunks) = chunks_to_send();
    let open = tokio::spawn(broker.push("acme/orders", reqwest::Body::wrap_stream(chunks)).send());
    body.send(Ok("half")).await.unwrap();
    broker.wait_for_metric("restante_body_memory_bytes", 4.0).await;

    broker.signal(rustix::process::Signal::TERM);
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(broker.admin("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(broker.admin("/livez").await.0, StatusCode::OK);
    let push = broker.push("acme/orders", "late").send().await.unwrap();
    assert_eq!(header(&push, "retry-after"), "1");
    assert_problem(push, 503, ProblemType::Draining).await;
    let pull = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_problem(pull, 503, ProblemType::Draining).await;
    let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(settled.status(), StatusCode::NO_CONTENT);

    // The request that was open when the drain began is served to its end.
    drop(body);
    assert_eq!(open.await.unwrap().unwrap().status(), StatusCode::CREATED);
    assert!(broker.wait_for_end().success());
}

#[tokio::test]
async fn open_requests_are_cut_off_at_the_end_of_the_drain_and_the_broker_exits() {
    let mut broker = Broker::with_flags(ORDERS, &["--drain-seconds", "1"]);
    let url = format!("http://{}/v1/messages/acme/orders", broker.data());
    let clients = [reqwest::Client::builder(), reqwest::Client::builder().http2_prior_knowledge()];
    let mut open = Vec::new();
    for client in clients {
        let (body, chunks) = chunks_to_send();
        let push = client.build().unwrap().post(&url).body(reqwest::Body::wrap_stream(chunks));
        open.push((tokio::spawn(push.send()), body.clone()));
        body.send(Ok("half")).await.unwrap();
    }
    broker.wait_for_metric("restante_body_memory_bytes", 8.0).await;
    let waiting = tokio::spawn(broker.pull("acme/orders", "wait=20").send());
    broker.wait_for_metric("restante_waiting_receivers", 1.0).await;
    broker.signal(rustix::process::Signal::TERM);
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::NO_CONTENT, "the drain has begun");
    let _brings_nothing = tokio::net::TcpStream::connect(broker.data()).await.unwrap();
    assert!(broker.wait_for_end().success());
    for (push, _body) in open {
        push.await.unwrap().unwrap_err();
    }
    broker.start();
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT, "what was not there whole is not stored");
}

type Chunk = Result<&'static str, std::io::Error>;

/// A body that the test sends in chunks.
pub(crate) fn chunks_to_send() -> (tokio::sync::mpsc::Sender<Chunk>, impl futures_util::Stream<Item = Chunk>)
{
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let stream =
        futures_util::stream::unfold(receiver, async |mut receiver: tokio::sync::mpsc::Receiver<Chunk>| {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
    (sender, stream)
}

#[tokio::test]
async fn a_broker_without_open_requests_exits_on_sigterm_and_releases_its_folder() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    assert!(broker.stop().success());
    broker.start();
    assert_eq!(broker.pulled("acme/orders").await.0, b"x");
}

#[tokio::test]
async fn a_sender_waiting_for_room_gets_503_when_the_broker_drains_and_its_message_is_not_stored() {
    let mut broker = crate::operator::with_orders(|orders| orders.limits.messages = 1).await;
    broker.pushed("acme/orders", "1").await;
    let waiting = tokio::spawn(broker.push("acme/orders", "2").header("prefer", "wait=20").send());
    broker.wait_for_metric("restante_waiting_senders", 1.0).await;
    broker.signal(rustix::process::Signal::TERM);
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(header(&response, "retry-after"), "1");
    assert_problem(response, 503, ProblemType::Draining).await;
    assert!(broker.wait_for_end().success());
    broker.start();
    let (content, lease) = broker.pulled("acme/orders").await;
    assert_eq!(content, b"1");
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    let response = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}
