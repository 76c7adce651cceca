//! The receiver module: pulls, returns messages, and transmits the request again after a time-out response.

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use restante_client::{
    Client, Counts, Event, Link, Message, ProblemType, ReceiveError, Receiver, ReceiverOptions, RequestError,
};

use crate::support::{
    address,
    broker::Broker,
    client, options,
    reply::{ID, LEASE, Reply, answer, delivery, half_delivery, no_content, problem, stored},
    soon,
};

fn receiver(broker: &Broker) -> Receiver {
    Receiver::new(&client(&broker.url), address(), ReceiverOptions::default())
}

#[tokio::test]
async fn on_a_timeout_response_the_request_is_transmitted_again() {
    let broker =
        Broker::start(|_, number| if number < 3 { no_content() } else { delivery("hello", 30) }).await;
    let receiver = receiver(&broker);
    let mut events = receiver.events();
    let message = soon(receiver.receive()).await.unwrap();
    assert_eq!(message.body, "hello");
    assert_eq!(broker.log().count("GET /v1/messages/demo/orders"), 4);
    let expected = Counts { timed_out: 3, pull_repeated: 3, received: 1, ..Counts::default() };
    assert_eq!(receiver.counts(), expected);
    for _ in 0..3 {
        assert!(matches!(events.recv().await, Ok(Event::TimedOut)));
        assert!(matches!(events.recv().await, Ok(Event::PullRepeated)));
    }
    assert!(matches!(events.recv().await, Ok(Event::Received { id }) if id.to_string() == ID));
}

#[tokio::test]
async fn a_message_has_its_body_its_headers_and_its_lease() {
    let broker = Broker::start(|_, _| delivery(vec![0, 255], 30)).await;
    let message = soon(receiver(&broker).receive()).await.unwrap();
    assert_eq!(message.body, vec![0, 255]);
    assert_eq!(message.content_type(), Some("text/plain; charset=utf-8"));
    assert_eq!(message.headers["meta-colour"], "red");
    // Headers of the answer, which are not the message's, are left out.
    assert_eq!(message.headers.len(), 2);
    assert_eq!((message.id.to_string().as_str(), message.deliveries), (ID, 2));
    assert_eq!(message.enqueued_at.to_string(), "2026-11-23T05:06:07.123456Z");
    assert_eq!(message.lease(), LEASE);
}

#[tokio::test]
async fn a_temporary_error_is_retried_after_a_pause() {
    let broker = Broker::start(|_, number| match number {
        0 => problem(503, ProblemType::NotProgrammed),
        1 => problem(429, ProblemType::TooManyReceivers),
        2 => Reply::Cut,
        3 => half_delivery("hello"),
        _ => delivery("hello", 30),
    })
    .await;
    let receiver = receiver(&broker);
    assert_eq!(soon(receiver.receive()).await.unwrap().body, "hello");
    assert_eq!(receiver.counts(), Counts { retrying: 4, received: 1, ..Counts::default() });
}

#[tokio::test]
async fn an_unanswered_pull_is_repeated_as_the_same_attempt() {
    let broker =
        Broker::start(|_, number| if number == 0 { Reply::Hang } else { delivery("hello", 30) }).await;
    let mut options = options(&broker.url);
    options.answer_timeout = Duration::from_millis(200);
    let mut at_once = ReceiverOptions::default();
    at_once.wait_seconds = Some(0);
    let receiver = Receiver::new(&Client::new(options).unwrap(), address(), at_once);
    assert_eq!(soon(receiver.receive()).await.unwrap().body, "hello");
    let log = broker.until(|log| log.hung_up >= 1).await;
    assert_eq!(log.seen[0].header("receive-attempt-id"), log.seen[1].header("receive-attempt-id"));
}

#[tokio::test]
async fn an_unknown_address_is_an_error_unless_all_errors_are_retried() {
    let script = |_: &_, number| match number {
        0 => problem(404, ProblemType::AddressUnknown),
        _ => delivery("hello", 30),
    };
    let broker = Broker::start(script).await;
    let error = soon(receiver(&broker).receive()).await.unwrap_err();
    let ReceiveError::Failed(failed) = error else { panic!("{error}") };
    assert_eq!(failed.problem_type(), Some(ProblemType::AddressUnknown));

    let broker = Broker::start(script).await;
    let mut options = ReceiverOptions::default();
    options.retry_all_errors = true;
    let receiver = Receiver::new(&client(&broker.url), address(), options);
    assert!(soon(receiver.receive()).await.is_ok());
}

#[tokio::test]
async fn an_html_page_is_not_returned_as_a_message() {
    let broker = Broker::start(|_, _| answer(200, &[("content-type", "text/html")], "<h1>Log in</h1>")).await;
    let error = soon(receiver(&broker).receive()).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Failed(RequestError::NotABroker { .. })), "{error}");
}

#[tokio::test]
async fn cancelling_drops_the_request_in_flight() {
    let broker = Broker::start(|_, _| Reply::Hang).await;
    let receiver = receiver(&broker);
    let (received, ()) = tokio::join!(receiver.receive(), async {
        broker.until(|log| log.seen.len() == 1).await;
        receiver.cancellation().cancel();
    });
    assert!(matches!(received, Err(ReceiveError::Cancelled)));
    broker.until(|log| log.hung_up == 1).await;
}

#[tokio::test]
async fn a_stream_returns_messages_until_it_is_cancelled() {
    let broker = Broker::start(|seen, number| match (seen.method.as_str(), number) {
        ("GET", 0..6) => delivery(format!("message {number}"), 30),
        ("GET", _) => Reply::Hang,
        _ => no_content(),
    })
    .await;
    let receiver = receiver(&broker);
    let contents = async {
        let settled = receiver.stream().and_then(async |message| {
            let content = message.body.clone();
            message.settle().await.unwrap();
            Ok(content)
        });
        settled.try_collect::<Vec<_>>().await.unwrap()
    };
    let (contents, ()) = tokio::join!(contents, async {
        broker.until(|log| log.seen.len() == 7).await;
        receiver.cancellation().cancel();
    });
    // Every second request settles the message before it.
    assert_eq!(contents, ["message 0", "message 2", "message 4"]);
    assert_eq!(receiver.counts().settled, 3);
}

#[tokio::test]
async fn a_stream_ends_after_an_error() {
    let broker = Broker::start(|_, _| problem(404, ProblemType::AddressUnknown)).await;
    let receiver = receiver(&broker);
    let mut stream = pin!(receiver.stream());
    assert!(matches!(stream.next().await, Some(Err(ReceiveError::Failed(_)))));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_pull_by_post_sends_the_same_request_to_the_other_path() {
    let broker = Broker::start(|_, _| no_content()).await;
    let mut options = ReceiverOptions::default();
    (options.wait_seconds, options.pull_by_post) = (Some(2), true);
    let receiver = Receiver::new(&client(&broker.url), address(), options);
    assert!(receiver.receive_once(None).await.unwrap().is_none());
    assert_eq!(broker.log().seen[0].line(), "POST /v1/receive/demo/orders?wait=2");
    assert_eq!(receiver.counts(), Counts { timed_out: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_link_sends_and_receives_on_one_address() {
    let broker =
        Broker::start(|seen, _| if seen.method == "POST" { stored() } else { delivery("reply", 30) }).await;
    let link = Link::new(&client(&broker.url), address(), ReceiverOptions::default());
    let (sent, received) = tokio::join!(link.sender.send(Message::new("ask")), link.receiver.receive());
    assert!(sent.is_ok());
    assert_eq!(received.unwrap().body, "reply");
    let log = broker.log();
    assert_eq!(log.count("POST /v1/messages/demo/orders") + log.count("GET /v1/messages/demo/orders"), 2);
}
