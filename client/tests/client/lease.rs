//! A leased message: settling, releasing, renewing and losing the lease.

use std::time::Duration;

use restante_client::{
    Counts, Event, ProblemType, Received, Receiver, ReceiverOptions, ReleaseOptions, SettleError,
};

use crate::support::{
    PATIENCE, address,
    broker::{Broker, Seen},
    client,
    reply::{LEASE, Reply, delivery, no_content, problem, renewed},
    soon,
};

/// A broker with one message and a lease of this duration. The script answers every request about the lease.
async fn broker(lease_seconds: u32, script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Broker {
    Broker::start(move |seen: &Seen, number| match seen.method.as_str() {
        "GET" => delivery("work", lease_seconds),
        _ => script(&seen.line(), number),
    })
    .await
}

async fn in_hand(broker: &Broker) -> (Receiver, Received) {
    let receiver = Receiver::new(&client(&broker.url), address(), ReceiverOptions::default());
    let message = soon(receiver.receive()).await.unwrap();
    (receiver, message)
}

fn settle_line() -> String {
    format!("DELETE /v1/leases/{LEASE}")
}

fn release_line() -> String {
    format!("POST /v1/leases/{LEASE}/release")
}

fn renew_line(seconds: u32) -> String {
    format!("POST /v1/leases/{LEASE}/renew?lease={seconds}")
}

#[tokio::test]
async fn a_settle_is_retried_until_it_is_answered() {
    let broker = broker(30, |_, number| match number {
        1 => problem(503, ProblemType::Busy),
        2 => Reply::Cut,
        _ => no_content(),
    })
    .await;
    let (receiver, message) = in_hand(&broker).await;
    message.settle().await.unwrap();
    assert_eq!(broker.log().count(&settle_line()), 3);
    assert_eq!(receiver.counts(), Counts { received: 1, settled: 1, ..Counts::default() });
    soon(receiver.drained()).await;
    assert_eq!(broker.log().seen.len(), 4, "a settled message is not released");
}

#[tokio::test]
async fn a_late_settle_returns_the_reason() {
    type Expected = fn(&SettleError) -> bool;
    let answers: [(u16, ProblemType, Expected); 6] = [
        (410, ProblemType::LeaseExpired, |error| matches!(error, SettleError::Expired)),
        (410, ProblemType::LeaseSuperseded, |error| matches!(error, SettleError::Superseded)),
        (410, ProblemType::LeaseReleased, |error| matches!(error, SettleError::Released)),
        (410, ProblemType::MessageSettled, |error| matches!(error, SettleError::Settled)),
        (410, ProblemType::ChannelDeleted, |error| matches!(error, SettleError::ChannelDeleted)),
        (404, ProblemType::LeaseUnknown, |error| matches!(error, SettleError::Unknown)),
    ];
    for (status, kind, expected) in answers {
        let broker = broker(30, move |_, _| problem(status, kind)).await;
        let (_, message) = in_hand(&broker).await;
        let error = message.settle().await.unwrap_err();
        assert!(expected(&error) && error.is_lost(), "{kind:?} became {error:?}");
        assert_eq!(broker.log().count(&settle_line()), 1);
    }
}

#[tokio::test]
async fn a_release_is_sent_once() {
    let broker = broker(30, |_, _| no_content()).await;
    let (receiver, message) = in_hand(&broker).await;
    message.release().await.unwrap();
    soon(receiver.drained()).await;
    assert_eq!(broker.log().count(&release_line()), 1);
}

#[tokio::test]
async fn a_dropped_message_is_released_in_the_background() {
    let broker = broker(30, |_, _| no_content()).await;
    let (receiver, message) = in_hand(&broker).await;
    drop(message);
    soon(receiver.drained()).await;
    assert_eq!(broker.log().count(&release_line()), 1);
    assert_eq!(receiver.counts().released, 1);
}

#[tokio::test]
async fn a_release_can_have_a_delay_and_a_rejection_a_reason() {
    let broker = broker(30, |_, _| no_content()).await;
    let (receiver, message) = in_hand(&broker).await;
    let options = ReleaseOptions { delay_seconds: Some(5), uncounted: true };
    message.release_with(options).await.unwrap();
    let message = soon(receiver.receive()).await.unwrap();
    message.reject("no bolts & nö nuts").await.unwrap();
    assert_eq!(broker.log().count(&format!("{}?delay=5&uncounted=true", release_line())), 1);
    let reason = "reason=no%20bolts%20%26%20n%C3%B6%20nuts";
    assert_eq!(broker.log().count(&format!("POST /v1/leases/{LEASE}/reject?{reason}")), 1);
    assert_eq!((receiver.counts().released, receiver.counts().rejected), (1, 1));
}

#[tokio::test]
async fn a_worker_releases_uncounted_when_it_shuts_down_and_counted_when_it_panics() {
    let broker = broker(30, |_, _| no_content()).await;
    let (receiver, message) = in_hand(&broker).await;
    receiver.cancellation().cancel();
    drop(message);
    soon(receiver.drained()).await;
    assert_eq!(broker.log().count(&format!("{}?uncounted=true", release_line())), 1);

    let (receiver, message) = in_hand(&broker).await;
    receiver.cancellation().cancel();
    let panicked = tokio::spawn(async move {
        let _message = message;
        panic!("a handler panics");
    });
    assert!(panicked.await.is_err());
    soon(receiver.drained()).await;
    assert_eq!(broker.log().count(&release_line()), 1);
}

#[tokio::test]
async fn after_into_lease_the_message_is_neither_released_nor_renewed() {
    let broker = broker(30, |_, _| no_content()).await;
    let (receiver, message) = in_hand(&broker).await;
    assert_eq!(message.into_lease(), LEASE);
    soon(receiver.drained()).await;
    assert_eq!(broker.log().seen.len(), 1);
}

#[tokio::test]
async fn a_lease_is_renewed_only_while_its_message_is_processed() {
    let broker = broker(1, |line, _| if line.contains("/renew") { renewed(1) } else { no_content() }).await;
    let (receiver, message) = in_hand(&broker).await;
    // Longer than the lease: without renewals, it would be lost.
    broker.until(|log| log.count(&renew_line(1)) == 4).await;
    assert!(!message.is_lost());
    message.settle().await.unwrap();
    soon(receiver.drained()).await;
    let counts = receiver.counts();
    assert!(counts.renewed >= 3 && counts.renew_failed == 0, "{counts:?}");
}

#[tokio::test]
async fn a_failed_renewal_is_retried_in_time() {
    let broker = broker(1, |line, number| match (line.contains("/renew"), number) {
        (true, 1) => Reply::Cut,
        (true, 2) => problem(503, ProblemType::Busy),
        (true, _) => renewed(30),
        _ => no_content(),
    })
    .await;
    let (receiver, message) = in_hand(&broker).await;
    let mut events = receiver.events();
    let granted = async {
        loop {
            if let Event::Renewed { granted, .. } = events.recv().await.unwrap() {
                return granted;
            }
        }
    };
    assert_eq!(soon(granted).await, Duration::from_secs(30));
    assert!(!message.is_lost());
}

#[tokio::test]
async fn a_worker_learns_that_another_receiver_has_its_message() {
    let broker = broker(1, |_, _| problem(410, ProblemType::LeaseSuperseded)).await;
    let (receiver, message) = in_hand(&broker).await;
    let mut events = receiver.events();
    soon(message.lost()).await;
    let failed = events.recv().await.unwrap();
    assert!(matches!(failed, Event::RenewFailed { error: SettleError::Superseded, .. }), "{failed:?}");
    // A message of another receiver is not released.
    drop(message);
    soon(receiver.drained()).await;
    assert_eq!(broker.log().count(&release_line()), 0);
}

#[tokio::test]
async fn a_lease_whose_renewals_are_unanswered_is_lost_by_the_clock() {
    let broker = broker(1, |_, _| Reply::Hang).await;
    let start = std::time::Instant::now();
    let (_receiver, message) = in_hand(&broker).await;
    soon(message.lost()).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn another_process_can_use_the_lease_token() {
    let broker = broker(30, |line, _| if line.contains("/renew") { renewed(60) } else { no_content() }).await;
    let client = client(&broker.url);
    assert_eq!(client.renew(LEASE, Some(60), PATIENCE).await.unwrap(), Duration::from_secs(60));
    client.settle(LEASE, PATIENCE).await.unwrap();
    client.release(LEASE, ReleaseOptions::default(), PATIENCE).await.unwrap();
    let lines: Vec<_> = broker.log().seen.iter().map(Seen::line).collect();
    assert_eq!(lines, [renew_line(60), settle_line(), release_line()]);
}

#[tokio::test]
async fn an_unanswered_settle_ends_at_its_time_limit() {
    let broker = broker(30, |_, _| Reply::Hang).await;
    let error = client(&broker.url).settle(LEASE, Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, SettleError::Failed(None)) && !error.is_lost(), "{error:?}");
}
