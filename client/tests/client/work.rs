//! Concurrent handlers on one source.

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
    reply::{Reply, delivery, frames, item, no_content, problem, settled},
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

/// A broker that delivers `count` messages with its first answer, and then none.
async fn with_messages(count: usize) -> Broker {
    Broker::start(move |seen: &Seen, number| match seen.method.as_str() {
        "GET" if number == 0 => frames((0..count).map(|number| item(number, 30))),
        "GET" => Reply::Hang,
        _ if seen.path == "/v1/settlements" => settled(&seen.body, 204),
        _ => no_content(),
    })
    .await
}

/// All settled leases, alone or in bulk.
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
async fn each_worker_handles_a_message_concurrently() {
    let broker = with_messages(3).await;
    let receiver = receiver(&broker);
    // A barrier: it opens only when all handlers wait at it.
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
async fn a_pull_requests_at_most_one_message_per_free_worker() {
    let broker = with_messages(2).await;
    let receiver = receiver(&broker);
    let gate = Semaphore::new(1);
    let run = receiver.run(workers(2), async |_: &Received| {
        gate.acquire().await.unwrap().forget();
        Ok(())
    });
    let watch = async {
        // Both workers are busy until one message is settled; then one message is pulled.
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
async fn a_handlers_result_settles_releases_or_rejects_its_message() {
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
    let requests: String = broker
        .log()
        .seen
        .iter()
        .map(|seen| format!("{} {}\n", seen.path, String::from_utf8_lossy(&seen.body)))
        .collect();
    assert!(
        requests.contains("lease-0/release?delay=9") || requests.contains(r#""lease":"lease-0","delay":9"#)
    );
    assert!(
        requests.contains("lease-1/reject?reason=no%20bolts")
            || requests.contains(r#""lease":"lease-1","reason":"no bolts""#),
        "{requests}"
    );
}

#[tokio::test]
async fn a_cancelled_receiver_stops_pulling_and_its_handlers_finish() {
    let broker = with_messages(1).await;
    let receiver = receiver(&broker);
    let gate = Semaphore::new(0);
    let run = receiver.run(workers(2), async |_: &Received| {
        gate.acquire().await.unwrap().forget();
        Ok(())
    });
    let stop = async {
        // The pull for the second worker is in flight.
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
async fn after_the_grace_period_unfinished_messages_are_released_uncounted() {
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
async fn a_permanent_refusal_ends_the_run_after_the_handlers_finished() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => frames([item(0, 30)]),
        ("GET", _) => problem(404, ProblemType::AddressUnknown),
        _ => no_content(),
    })
    .await;
    let receiver = receiver(&broker);
    let ended = soon(receiver.run(workers(2), async |_: &Received| {
        // The refusal arrives first.
        broker.until(|log| log.count("GET /v1/messages/demo/orders") == 1).await;
        Ok(())
    }))
    .await;
    assert!(matches!(ended, Err(ReceiveError::Failed(_))), "{ended:?}");
    assert_eq!(acked(&broker.log()), ["lease-0"]);
}

#[tokio::test]
async fn a_late_verdict_is_an_event() {
    let broker = Broker::start(|seen: &Seen, number| match (seen.method.as_str(), number) {
        ("GET", 0) => delivery("work", 30),
        ("GET", _) => Reply::Hang,
        _ => problem(410, ProblemType::LeaseSuperseded),
    })
    .await;
    let receiver = Arc::new(receiver(&broker));
    // Spawned as a task, which may run on another thread: the future is `Send`.
    let running = tokio::spawn({
        let receiver = receiver.clone();
        async move { receiver.run(WorkOptions::default(), async |_: &Received| Ok(())).await }
    });
    broker.until(|log| log.count("GET /v1/messages/demo/orders") == 2).await;
    receiver.cancellation().cancel();
    soon(running).await.unwrap().unwrap();
    assert_eq!(receiver.counts().verdict_failed, 1);
}
