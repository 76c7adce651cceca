//! The transmission module: retries under one key until the message is stored or the deadline passes.

use std::time::{Duration, Instant};

use restante_client::{Client, Message, ProblemType, RequestError, SendError, SendOptions, Sender};

use crate::support::{
    address,
    broker::Broker,
    client, options,
    reply::{ID, Reply, answer, problem, stored},
    soon,
};

fn sender(broker: &Broker) -> Sender {
    Sender::new(&client(&broker.url), address())
}

#[tokio::test]
async fn every_try_of_a_message_is_the_same_post_under_one_key() {
    let broker = Broker::start(|_, number| match number {
        0 => problem(503, ProblemType::Draining),
        1 => Reply::Cut,
        2 => answer(502, &[], "<h1>Bad gateway</h1>"),
        _ => stored(),
    })
    .await;
    let content = vec![0, 255, 13, 10];
    let message = Message::new(content.clone()).content_type("application/x; v=1").unwrap();
    let receipt = sender(&broker).send(message.header("Meta-a", "b").unwrap()).await.unwrap();
    assert_eq!(receipt.message_id.to_string(), ID);
    assert_eq!((receipt.durability.as_str(), receipt.replayed), ("fsync", false));

    let log = broker.log();
    assert_eq!(log.seen.len(), 4);
    let key = log.seen[0].header("idempotency-key");
    assert!(key.len() == 38 && key.starts_with('"'), "{key}");
    for seen in &log.seen {
        assert_eq!(seen.line(), "POST /v1/messages/demo/orders");
        assert_eq!(seen.header("idempotency-key"), key);
        assert_eq!(seen.header("content-type"), "application/x; v=1");
        assert_eq!(seen.header("meta-a"), "b");
        assert_eq!(seen.body, content);
    }
}

#[tokio::test]
async fn two_messages_have_two_keys() {
    let broker = Broker::start(|_, _| stored()).await;
    let sender = sender(&broker);
    sender.send(Message::new("")).await.unwrap();
    sender.send(Message::new("")).await.unwrap();
    let seen = broker.log().seen;
    assert_ne!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn a_receipt_tells_a_repeated_push_from_a_first_one() {
    let broker =
        Broker::start(|_, _| answer(201, &[("message-id", ID), ("idempotency-replayed", "true")], "")).await;
    let message = Message::new("x").idempotency_key("order-\"7").unwrap();
    assert!(sender(&broker).send(message).await.unwrap().replayed);
    assert_eq!(broker.log().seen[0].header("idempotency-key"), r#""order-\"7""#);
}

#[tokio::test]
async fn a_full_channel_is_retried_after_its_retry_after() {
    let broker = Broker::start(|_, number| match number {
        0 => answer(429, &[("retry-after", "1")], ""),
        _ => stored(),
    })
    .await;
    let start = Instant::now();
    sender(&broker).send(Message::new("x")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn group_delay_and_time_to_live_are_sent_as_headers() {
    let broker = Broker::start(|_, _| stored()).await;
    let message = Message::new("x").group("customer-7").unwrap().delay(30).time_to_live(600);
    let options = SendOptions { room_wait_seconds: Some(20), ..SendOptions::default() };
    sender(&broker).send_with(message, options).await.unwrap();
    sender(&broker).send(Message::new("x")).await.unwrap();
    let sent_headers = |seen: usize| {
        let names = ["message-group", "message-delay", "message-ttl", "prefer"];
        names.map(|name| broker.log().seen[seen].header(name).to_owned())
    };
    assert_eq!(sent_headers(0), ["customer-7", "30", "600", "wait=20"]);
    assert_eq!(sent_headers(1), ["", "", "", ""]);
}

#[tokio::test]
async fn a_push_in_progress_is_retried_and_a_mismatching_one_is_not() {
    let broker = Broker::start(|_, number| match number {
        0 => problem(409, ProblemType::IdempotencyInProgress),
        1 => stored(),
        2 => problem(422, ProblemType::IdempotencyMismatch),
        _ => problem(410, ProblemType::ChannelClosing),
    })
    .await;
    sender(&broker).send(Message::new("x")).await.unwrap();
    for kind in [ProblemType::IdempotencyMismatch, ProblemType::ChannelClosing] {
        let error = sender(&broker).send(Message::new("x")).await.unwrap_err();
        assert_eq!(error.problem_type(), Some(kind));
    }
    assert_eq!(broker.log().seen.len(), 4);
}

#[tokio::test]
async fn a_permanent_refusal_is_returned_at_once_with_the_brokers_detail() {
    let broker = Broker::start(|_, _| problem(413, ProblemType::MessageTooLarge)).await;
    let error = sender(&broker).send(Message::new("x")).await.unwrap_err();
    let SendError::Failed(failed) = &error else { panic!("{error}") };
    assert_eq!(failed.problem_type(), Some(ProblemType::MessageTooLarge));
    assert!(error.to_string().contains("the detail says what to do"), "{error}");
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn a_message_cut_on_the_way_is_sent_again() {
    let broker = Broker::start(|_, number| match number {
        0 => problem(400, ProblemType::BodyIncomplete),
        _ => stored(),
    })
    .await;
    sender(&broker).send(Message::new("x")).await.unwrap();
}

#[tokio::test]
async fn an_unanswered_try_is_repeated_under_the_same_key() {
    let broker = Broker::start(|_, number| if number == 0 { Reply::Hang } else { stored() }).await;
    let mut options = options(&broker.url);
    options.answer_timeout = Duration::from_millis(200);
    let sender = Sender::new(&Client::new(options).unwrap(), address());
    soon(sender.send(Message::new("x"))).await.unwrap();
    let log = broker.until(|log| log.hung_up >= 1).await;
    assert_eq!(log.seen[0].header("idempotency-key"), log.seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn a_passed_deadline_returns_the_idempotency_key() {
    let broker = Broker::start(|_, _| Reply::Hang).await;
    let options = SendOptions { deadline: Some(Duration::from_millis(200)), ..SendOptions::default() };
    let error = sender(&broker).send_with(Message::new("x"), options).await.unwrap_err();
    let SendError::DeadlinePassed { key, last: None } = error else { panic!("{error}") };
    let log = broker.until(|log| log.hung_up == 1).await;
    assert_eq!(log.seen[0].header("idempotency-key"), format!("\"{key}\""));
}

#[tokio::test]
async fn a_deadline_ends_the_tries_with_the_last_error() {
    // Bound and closed again, so no process listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sender = Sender::new(&client(&format!("http://127.0.0.1:{port}")), address());
    let options = SendOptions { deadline: Some(Duration::from_millis(300)), ..SendOptions::default() };
    let error = sender.send_with(Message::new("x"), options).await.unwrap_err();
    let SendError::DeadlinePassed { last: Some(RequestError::Unreachable { .. }), .. } = &error else {
        panic!("{error}")
    };
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_answer_of_another_server_is_an_error() {
    for reply in [
        || answer(200, &[], "<h1>Log in</h1>"),
        || answer(201, &[], ""),
        || answer(307, &[("location", "http://elsewhere.example/")], ""),
    ] {
        let broker = Broker::start(move |_, _| reply()).await;
        let error = soon(sender(&broker).send(Message::new("x"))).await.unwrap_err();
        assert!(matches!(error, SendError::Failed(RequestError::NotABroker { .. })), "{error}");
        assert_eq!(broker.log().seen.len(), 1);
    }
}

#[tokio::test]
async fn a_sender_can_be_used_from_any_task() {
    let broker = Broker::start(|_, _| stored()).await;
    let sender = sender(&broker);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(Message::new("x")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(broker.log().seen.len(), 8);
}
