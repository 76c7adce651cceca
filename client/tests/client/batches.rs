//! The receiver module: batches, and receive attempts that are repeated after a lost answer.

use restante_client::{
    BatchOptions, Counts, ProblemType, Receiver, ReceiverOptions, ReleaseOptions, SettleError, Verdict,
};
use restante_wire::batch::{FRAMES_CONTENT_TYPE, PulledBatch, Settlements};

use crate::support::{
    address,
    broker::{Broker, Seen},
    client,
    reply::{
        LEASE, Reply, delivery, frames, half_delivery, item, json, no_content, problem, renewed, settled,
    },
    soon,
};

fn receiver(broker: &Broker) -> Receiver {
    Receiver::new(&client(&broker.url), address(), ReceiverOptions::default())
}

fn settlements(seen: &Seen) -> Settlements {
    serde_json::from_slice(&seen.body).unwrap()
}

#[tokio::test]
async fn a_batch_is_received_with_one_request_as_frames_or_json() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => frames([item(1, 30), item(2, 30)]),
        ("GET", _) => json(&PulledBatch { messages: vec![item(1, 30), item(2, 30)] }),
        _ => settled(&seen.body, 204),
    })
    .await;
    let receiver = receiver(&broker);
    let mut options = BatchOptions::default();
    (options.messages_max, options.linger_ms) = (5, 50);
    for _ in 0..2 {
        let messages = soon(receiver.receive_batch(options)).await.unwrap();
        let results: Vec<_> = messages
            .iter()
            .map(|message| (message.body.clone(), message.lease().to_owned(), message.group.clone()))
            .collect();
        let expected = [1, 2].map(|number| {
            (format!("message {number}").into(), format!("lease-{number}"), Some(format!("g{number}")))
        });
        assert_eq!(results, expected);
        assert_eq!(messages[0].content_type(), Some("text/plain"));
        assert_eq!(messages[0].headers["meta-colour"], "red");
        let verdicts = messages.into_iter().map(|message| (message, Verdict::Settle)).collect();
        assert!(receiver.apply_verdicts(verdicts).await.iter().all(|(_, result)| result.is_ok()));
    }
    let log = broker.log();
    assert_eq!(log.seen[0].line(), "GET /v1/batches/demo/orders?max=5&linger_ms=50");
    assert_eq!(log.seen[0].header("accept"), FRAMES_CONTENT_TYPE);
    assert_eq!(settlements(&log.seen[1]).ack, ["lease-1", "lease-2"]);
    assert_eq!(receiver.counts(), Counts { received: 4, settled: 4, ..Counts::default() });
    soon(receiver.drained()).await;
    assert_eq!(broker.log().seen.len(), 4, "a settled message is not released");
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_verdict_and_result() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", _) => frames((0..3).map(|number| item(number, 30))),
        (_, 1) => problem(503, ProblemType::Busy),
        _ => {
            let ack = r#"{"status":410,"problem":{"type":"https://restante.dev/errors/lease-expired",
                "title":"t","status":410,"detail":"d"}}"#;
            let results =
                format!(r#"{{"ack":[{ack}],"release":[{{"status":204}}],"reject":[{{"status":204}}]}}"#);
            json(&serde_json::from_str::<serde_json::Value>(&results).unwrap())
        }
    })
    .await;
    let receiver = receiver(&broker);
    let messages = soon(receiver.receive_batch(BatchOptions::default())).await.unwrap();
    let verdicts = [
        Verdict::Reject { reason: Some("no bolts".into()) },
        Verdict::Settle,
        Verdict::Release(ReleaseOptions { delay_seconds: Some(7), uncounted: false }),
    ];
    let results = receiver.apply_verdicts(messages.into_iter().zip(verdicts).collect()).await;
    let results: Vec<_> = results.into_iter().map(|(_, result)| result).collect();
    assert!(matches!(&results[..], [Ok(()), Err(SettleError::Expired), Ok(())]), "{results:?}");
    let sent = settlements(&broker.log().seen[2]);
    assert_eq!((sent.release[0].delay, sent.reject[0].reason.as_deref()), (Some(7), Some("no bolts")));
    let counts = receiver.counts();
    assert_eq!((counts.settled, counts.released, counts.rejected), (0, 1, 1));
}

#[tokio::test]
async fn the_leases_of_a_batch_are_renewed_together_until_their_messages_are_done() {
    let broker = Broker::start(|seen: &Seen, _| match seen.path.as_str() {
        "/v1/settlements" => settled(&seen.body, 200),
        path if path.contains("/renew") => renewed(1),
        path if path.contains("/batches/") => frames((0..3).map(|number| item(number, 1))),
        _ => no_content(),
    })
    .await;
    let receiver = receiver(&broker);
    let mut messages = soon(receiver.receive_batch(BatchOptions::default())).await.unwrap();
    let renewals = |log: &crate::support::broker::Log, leases: &[&str]| {
        let bulk = log.seen.iter().filter(|seen| seen.path == "/v1/settlements").map(settlements);
        bulk.filter(|sent| sent.renew.iter().map(|renew| renew.lease.as_str()).eq(leases.iter().copied()))
            .count()
    };
    // Longer than a lease: without renewals, the leases would be lost.
    broker.until(|log| renewals(log, &["lease-0", "lease-1", "lease-2"]) >= 4).await;
    assert!(messages.iter().all(|message| !message.is_lost()));
    messages.remove(1).settle().await.unwrap();
    broker.until(|log| renewals(log, &["lease-0", "lease-2"]) >= 1).await;
    messages.remove(1).settle().await.unwrap();
    broker.until(|log| log.count("POST /v1/leases/lease-0/renew?lease=1") >= 1).await;
    assert!(!messages[0].is_lost());
}

#[tokio::test]
async fn an_empty_batch_pull_is_a_timeout_response() {
    let broker =
        Broker::start(|_, number| if number < 3 { no_content() } else { frames([item(0, 30)]) }).await;
    let receiver = receiver(&broker);
    let once = receiver.receive_batch_once(BatchOptions::default(), None).await.unwrap();
    assert!(once.is_empty());
    assert_eq!(soon(receiver.receive_batch(BatchOptions::default())).await.unwrap().len(), 1);
    let expected = Counts { timed_out: 3, pull_repeated: 2, received: 1, ..Counts::default() };
    assert_eq!(receiver.counts(), expected);
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_repeated_under_its_attempt_id() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => Reply::Cut,
        ("GET", 1) => half_delivery("first"),
        ("GET", 2) => problem(409, ProblemType::AttemptRepeated),
        ("GET", 3) => delivery("first", 300),
        ("GET", _) if seen.path.contains("/messages/") => no_content(),
        _ => renewed(300),
    })
    .await;
    let receiver = receiver(&broker);
    let message = soon(receiver.receive()).await.unwrap();
    let log = broker.log();
    let ids: Vec<_> = log.seen.iter().map(|seen| seen.header("receive-attempt-id").to_owned()).collect();
    assert!(ids[0].len() == 38 && ids[0].starts_with('"'), "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // The lease may have begun with the first try, so it is renewed at once.
    let renewal = format!("POST /v1/leases/{LEASE}/renew?lease=300");
    broker.until(|log| log.count(&renewal) == 1).await;
    drop(message);
    assert!(receiver.receive_once(None).await.unwrap().is_none());
    let sent: Vec<_> = broker.log().seen.into_iter().filter(|seen| seen.method == "GET").collect();
    assert_ne!(sent[4].header("receive-attempt-id"), ids[0], "another pull is another attempt");
}

#[tokio::test]
async fn after_a_timeout_response_a_new_attempt_begins() {
    let broker =
        Broker::start(|_, number| if number < 2 { no_content() } else { delivery("hello", 30) }).await;
    soon(receiver(&broker).receive()).await.unwrap();
    let mut ids: Vec<_> =
        broker.log().seen[..3].iter().map(|seen| seen.header("receive-attempt-id").to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_message_has_its_group_and_its_dead_letter_cause() {
    let broker = Broker::start(|_, _| {
        let Reply::Answer(mut response) = delivery("hello", 30) else { unreachable!() };
        for (name, value) in [
            ("message-group", "customer-7"),
            ("message-dead-letter-cause", "rejected"),
            ("message-dead-letter-channel", "demo/orders"),
            ("message-dead-letter-reason", "no bolts"),
            ("reply-to", "demo/replies"),
            ("correlation-id", "c-1"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        Reply::Answer(response)
    })
    .await;
    let message = soon(receiver(&broker).receive()).await.unwrap();
    assert_eq!(message.group.as_deref(), Some("customer-7"));
    let note = message.dead_letter.as_ref().unwrap();
    assert_eq!((note.cause.as_str(), note.channel.as_str()), ("rejected", "demo/orders"));
    assert_eq!(note.reason.as_deref(), Some("no bolts"));
    assert_eq!(message.reply_to().unwrap().as_str(), "demo/replies");
    assert_eq!(message.correlation_id(), Some("c-1"));
}
