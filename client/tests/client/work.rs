//! Several workers on one source.

use std::{sync::Arc, time::Duration};

use restante_client::{
    Counts, HandlerError, ProblemType, ReceiveError, Received, Receiver, ReceiverOptions, WorkOptions,
};
use restante_wire::batch::Settlements;
use tokio::sync::{Barrier, Semaphore};

use crate::support::{
    address,
    broker::{Broker, Log, Seen},
    client,
    reply::{Reply, content, frames, item, nothing, problem, settled},
    soon,
};

fn receiver(broker: &Broker) -> Receiver {
    Receiver::new(&client(&broker.url), address(), ReceiverOptions::default())
}

fn workers(workers: usize) -> WorkOptions {
    let mut options = WorkOptions::default();
    options.workers = workers;
    options
}

/// A broker that gives out so many messages at its first request, and then nothing.
async fn with_messages(count: usize) -> Broker {
    Broker::start(move |seen: &Seen, number| match seen.method.as_str() {
        "GET" if number == 0 => frames((0..count).map(|number| item(number, 30))),
        "GET" => Reply::Hang,
        _ if seen.path == "/v1/settlements" => settled(&seen.body, 204),
        _ => nothing(),
    })
    .await
}

/// Every lease that was settled, alone or with others.
fn acked(log: &Log) -> Vec<String> {
    let mut acked = Vec::new();
    for seen in &log.seen {
        match seen.path.strip_prefix("/v1/leases/") {
            Some(lease) if seen.method == "DELETE" => acked.push(lease.to_owned()),
            _ if seen.path == "/v1/settlements" => {
                acked.extend(serde_json::from_slice::<Settlements>(&seen.body).unwrap().ack);
            }
            _ => {}
        }
    }
    acked.sort_unstable();
    acked
}

#[tokio::test]
async fn as_many_messages_are_handled_at_once_as_there_are_workers() {
    let broker = with_messages(3).await;
    let receiver = receiver(&broker);
    // Nobody gets past it alone.
    let together = Barrier::new(3);
    let run = receiver.run(workers(3), async |_: &Received| {
        together.wait().await;
        Ok(())
    });
    let stop = async {
        broker.until(|log| acked(log).len() == 3).await;
        receiver.cancellation().cancel();
    };
    let (ended, ()) = soon(async { tokio::join!(run, stop) }).await;
    assert!(ended.is_ok());
    let log = broker.log();
    assert_eq!(log.seen[0].line(), "GET /v1/batches/demo/orders?max=3");
    assert_eq!(acked(&log), ["lease-0", "lease-1", "lease-2"]);
    assert_eq!(receiver.counts(), Counts { received: 3, settled: 3, ..Counts::default() });
}

#[tokio::test]
async fn no_more_is_asked_for_than_there_are_hands_free() {
    let broker = with_messages(2).await;
    let receiver = receiver(&broker);
    let gate = Semaphore::new(1);
    let run = receiver.run(workers(2), async |_: &Received| {
        gate.acquire().await.unwrap().forget();
        Ok(())
    });
    let watch = async {
        // Both hands are full until one is settled; then one message is asked for.
        broker.until(|log| log.count("GET /v1/messages/demo/orders") == 1).await;
        assert_eq!(acked(&broker.log()).len(), 1);
        gate.add_permits(1);
        broker.until(|log| acked(log).len() == 2).await;
        receiver.cancellation().cancel();
    };
    let (ended, ()) = soon(async { tokio::join!(run, watch) }).await;
    assert!(ended.is_ok());
}

#[tokio::test]
async fn a_handler_says_what_becomes_of_its_message() {
    let broker = with_messages(3).await;
    let receiver = receiver(&broker);
    let together = Barrier::new(3);
    let run = receiver.run(workers(3), async |message: &Received| {
        together.wait().await;
        match message.lease() {
            "lease-0" => Err(HandlerError::Release { delay_seconds: Some(9) }),
            "lease-1" => Err(HandlerError::Reject { reason: "no bolts".into() }),
            _ => Ok(()),
        }
    });
    let stop = async {
        broker.until(|log| log.seen.iter().any(|seen| seen.method != "GET")).await;
        receiver.cancellation().cancel();
    };
    let (ended, ()) = soon(async { tokio::join!(run, stop) }).await;
    assert!(ended.is_ok());
    let counts = receiver.counts();
    assert_eq!((counts.settled, counts.released, counts.rejected), (1, 1, 1));
    let said: String = broker
        .log()
        .seen
        .iter()
        .map(|seen| format!("{} {}\n", seen.path, String::from_utf8_lossy(&seen.body)))
        .collect();
    assert!(said.contains("lease-0/release?delay=9") || said.contains(r#""lease":"lease-0","delay":9"#));
    assert!(
        said.contains("lease-1/reject?reason=no%20bolts")
            || said.contains(r#""lease":"lease-1","reason":"no bolts""#),
        "{said}"
    );
}

#[tokio::test]
async fn a_cancelled_receiver_stops_asking_and_finishes_what_is_in_hand() {
    let broker = with_messages(1).await;
    let receiver = receiver(&broker);
    let gate = Semaphore::new(0);
    let run = receiver.run(workers(2), async |_: &Received| {
        gate.acquire().await.unwrap().forget();
        Ok(())
    });
    let stop = async {
        // The second worker's request is under way.
        broker.until(|log| log.count("GET /v1/messages/demo/orders") == 1).await;
        receiver.cancellation().cancel();
        broker.until(|log| log.hung_up == 1).await;
        gate.add_permits(1);
    };
    let (ended, ()) = soon(async { tokio::join!(run, stop) }).await;
    assert!(ended.is_ok());
    assert_eq!(acked(&broker.log()), ["lease-0"]);
}

#[tokio::test]
async fn after_the_grace_what_is_in_hand_is_given_back_uncounted() {
    let broker = with_messages(2).await;
    let receiver = receiver(&broker);
    let mut options = workers(2);
    options.grace = Some(Duration::from_millis(10));
    let begun = Semaphore::new(0);
    let run = receiver.run(options, async |_: &Received| {
        begun.add_permits(1);
        std::future::pending().await
    });
    let stop = async {
        begun.acquire_many(2).await.unwrap().forget();
        receiver.cancellation().cancel();
    };
    let (ended, ()) = soon(async { tokio::join!(run, stop) }).await;
    assert!(ended.is_ok());
    soon(receiver.drained()).await;
    for lease in ["lease-0", "lease-1"] {
        assert_eq!(broker.log().count(&format!("POST /v1/leases/{lease}/release?uncounted=true")), 1);
    }
}

#[tokio::test]
async fn a_lasting_refusal_ends_the_workers_after_what_is_in_hand() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => frames([item(0, 30)]),
        ("GET", _) => problem(404, ProblemType::AddressUnknown),
        _ => nothing(),
    })
    .await;
    let receiver = receiver(&broker);
    let ended = soon(receiver.run(workers(2), async |_: &Received| {
        // The refusal comes first.
        broker.until(|log| log.count("GET /v1/messages/demo/orders") == 1).await;
        Ok(())
    }))
    .await;
    assert!(matches!(ended, Err(ReceiveError::Failed(_))), "{ended:?}");
    assert_eq!(acked(&broker.log()), ["lease-0"]);
}

#[tokio::test]
async fn a_decision_that_came_too_late_is_told() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => content("work", 30),
        ("GET", _) => Reply::Hang,
        _ => problem(410, ProblemType::LeaseSuperseded),
    })
    .await;
    let receiver = Arc::new(receiver(&broker));
    // A task of its own: the call may go to another thread.
    let running = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.run(WorkOptions::default(), async |_: &Received| Ok(())).await }
    });
    broker.until(|log| log.count("GET /v1/messages/demo/orders") == 2).await;
    receiver.cancellation().cancel();
    soon(running).await.unwrap().unwrap();
    assert_eq!(receiver.counts().verdict_failed, 1);
}
