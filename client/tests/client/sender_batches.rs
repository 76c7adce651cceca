//! The transmission module: batches.

use std::time::Duration;

use restante_client::{Message, ProblemType, SendError, Sender};
use restante_wire::batch::{FRAMES_CONTENT_TYPE, ItemHead, PushResults, decode_frames};

use crate::support::{
    address,
    broker::{Broker, Seen},
    client,
    reply::{ID, Reply, json, problem, result, stored},
};

fn frames(seen: &Seen) -> Vec<(ItemHead, &[u8])> {
    decode_frames(&seen.body).unwrap()
}

fn keys(seen: &Seen) -> Vec<String> {
    frames(seen).into_iter().map(|(head, _)| head.idempotency_key.unwrap()).collect()
}

/// Answers that every message of the request is stored.
fn all_stored(seen: &Seen) -> Reply {
    json(&PushResults { results: vec![result(201, None); frames(seen).len()] })
}

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|number| Message::new(format!("message {number}"))).collect()
}

#[tokio::test]
async fn a_batch_is_one_request_of_frames_with_a_key_each() {
    let broker = Broker::start(|seen: &Seen, _| all_stored(seen)).await;
    let first = Message::new(vec![0, 255]).content_type("image/png").unwrap().group("g").unwrap().delay(5);
    let second = Message::new("two").header("Reply-To", "demo/replies").unwrap().idempotency_key("k2");
    let results =
        Sender::new(&client(&broker.url), address()).send_batch(vec![first, second.unwrap()], None).await;
    let ids: Vec<_> = results.into_iter().map(|result| result.unwrap().message_id.to_string()).collect();
    assert_eq!(ids, [ID, ID]);
    let log = broker.log();
    assert_eq!(log.seen.len(), 1);
    assert_eq!(log.seen[0].line(), "POST /v1/batches/demo/orders");
    assert_eq!(log.seen[0].header("content-type"), FRAMES_CONTENT_TYPE);
    let frames = frames(&log.seen[0]);
    let (head, content) = &frames[0];
    assert_eq!((head.content_type.as_deref(), *content), (Some("image/png"), &[0, 255][..]));
    assert_eq!((head.group.as_deref(), head.delay_seconds, head.ttl_seconds), (Some("g"), Some(5), None));
    assert_eq!(head.idempotency_key.as_ref().unwrap().len(), 36);
    let (head, content) = &frames[1];
    assert_eq!((head.idempotency_key.as_deref(), *content), (Some("k2"), &b"two"[..]));
    assert_eq!(head.headers["reply-to"].iter().collect::<Vec<_>>(), ["demo/replies"]);
}

#[tokio::test]
async fn only_messages_that_may_still_be_stored_are_sent_again_under_their_keys() {
    let broker = Broker::start(|seen: &Seen, number| match number {
        0 => problem(503, ProblemType::Busy),
        1 => Reply::Cut,
        2 => json(&PushResults {
            results: vec![
                result(201, None),
                result(429, Some(ProblemType::ChannelFull)),
                result(413, Some(ProblemType::MessageTooLarge)),
                result(409, Some(ProblemType::IdempotencyInProgress)),
            ],
        }),
        _ => all_stored(seen),
    })
    .await;
    let results = Sender::new(&client(&broker.url), address()).send_batch(messages(4), None).await;
    assert!(matches!(&results[..], [Ok(_), Ok(_), Err(SendError::Failed(_)), Ok(_)]), "{results:?}");
    let refused = results[2].as_ref().unwrap_err();
    assert_eq!(refused.problem_type(), Some(ProblemType::MessageTooLarge));
    let log = broker.log();
    let first = keys(&log.seen[0]);
    assert_eq!((keys(&log.seen[1]), keys(&log.seen[2])), (first.clone(), first.clone()));
    assert_eq!(keys(&log.seen[3]), [first[1].clone(), first[3].clone()]);
    assert_eq!(log.seen.len(), 4);
}

#[tokio::test]
async fn a_batch_above_the_limits_of_a_request_is_split_in_order() {
    let broker = Broker::start(|seen: &Seen, _| match seen.path.as_str() {
        "/v1/messages/demo/orders" => stored(),
        _ => all_stored(seen),
    })
    .await;
    let mut many = messages(1001);
    many.push(Message::new(vec![b'x'; 8 * 1024 * 1024]).idempotency_key("large").unwrap());
    many.push(Message::new("last"));
    let results = Sender::new(&client(&broker.url), address()).send_batch(many, None).await;
    assert!(results.len() == 1003 && results.iter().all(Result::is_ok));
    let log = broker.log();
    let batches: Vec<usize> = [0, 1, 3].map(|seen| keys(&log.seen[seen]).len()).into_iter().collect();
    assert_eq!(batches, [1000, 1, 1]);
    // With its head, the message is larger than the largest batch.
    assert_eq!(log.seen[2].line(), "POST /v1/messages/demo/orders");
    assert_eq!(log.seen[2].header("idempotency-key"), "\"large\"");
    assert_eq!(frames(&log.seen[3])[0].1, b"last");
}

#[tokio::test]
async fn a_refused_batch_or_a_passed_deadline_is_the_error_of_each_message() {
    let broker = Broker::start(|_, _| problem(404, ProblemType::AddressUnknown)).await;
    let sender = Sender::new(&client(&broker.url), address());
    let results = sender.send_batch(messages(2), None).await;
    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().unwrap_err().problem_type()).collect();
    assert_eq!(kinds, [Some(ProblemType::AddressUnknown); 2]);
    assert_eq!(broker.log().seen.len(), 1);

    let broker = Broker::start(|_, _| Reply::Hang).await;
    let sender = Sender::new(&client(&broker.url), address());
    let results = sender.send_batch(messages(2), Some(Duration::from_millis(200))).await;
    let error_keys: Vec<_> = results
        .into_iter()
        .map(|result| match result {
            Err(SendError::DeadlinePassed { key, last: None }) => key,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(error_keys, keys(&broker.log().seen[0]));
}

#[tokio::test]
async fn an_html_page_or_a_missing_result_is_an_error() {
    for reply in [|| json(&"hello"), || json(&PushResults { results: vec![result(201, None)] })] {
        let broker = Broker::start(move |_, _| reply()).await;
        let results = Sender::new(&client(&broker.url), address()).send_batch(messages(2), None).await;
        assert!(results.iter().all(|result| matches!(result, Err(SendError::Failed(_)))), "{results:?}");
        assert_eq!(broker.log().seen.len(), 1);
    }
}
