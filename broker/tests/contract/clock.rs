//! Downtime that only the wall clock measures: the log of a broker on another machine.

use std::{future::poll_fn, time::Duration};

use reqwest::StatusCode;
use restante_broker::{
    clock::TimeSource,
    log::{DiskLog, Log as _, Options, Purpose, Record, Replayed, Sync},
};

use crate::broker::{Broker, ORDERS};

const DAYS: Duration = Duration::from_secs(2 * 24 * 3600);

/// A broker that stored two messages, one that expires in an hour and one that is due in an hour. Then its log says
/// that it ran on another machine, two days ago by the wall clock.
async fn moved(flags: &[&str]) -> Broker {
    let then = TimeSource::system().wall() - DAYS.as_millis() as u64;
    moved_from(flags, then).await
}

/// [`moved`], with the wall clock of the other machine.
async fn moved_from(flags: &[&str], then: u64) -> Broker {
    let mut broker = Broker::with_flags(ORDERS, flags);
    for (header, content) in [("message-ttl", "lives"), ("message-delay", "is due")] {
        let push = broker.push("acme/orders", content).header(header, "3600");
        assert_eq!(push.send().await.unwrap().status(), StatusCode::CREATED);
    }
    broker.stop();
    let own_ms = TimeSource::system().wall() + 1000;
    write(&broker, &Record::Clock { own_ms, wall_ms: then, latest_ms: then, boot_id: 1, boot_ns: 1 }).await;
    broker
}

/// Writes a record at the end of a broker's log, or of its first shard's.
async fn write(broker: &Broker, record: &Record<'_>) {
    let parts = std::fs::read_dir(broker.data_folder()).unwrap().map(|entry| entry.unwrap());
    // The folder of a single shard's log always exists, and is empty if there are more.
    let logs = parts.map(|part| part.path()).filter(|part| part.join("synced").exists());
    let folder = logs.min().expect("a broker that ran has a log");
    let mut log = DiskLog::open(&folder, Options { segment_bytes: 4 << 20 }).unwrap();
    while poll_fn(|context| log.poll_replay(&mut |_, _| {}, context)).await.unwrap() == Replayed::Part {}
    log.append(record, Purpose::Settle).unwrap();
    poll_fn(|context| log.poll_takes_batch(context)).await;
    let number = log.commit(Sync::Now);
    loop {
        let (committed, outcome) = poll_fn(|context| log.poll_commit(context)).await;
        if outcome.unwrap() == Sync::Now && committed == number {
            return;
        }
    }
}

/// The body that a receiver gets.
async fn content(broker: &Broker) -> String {
    broker.pull_with_ack_auto("acme/orders", "wait=0").send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn downtime_on_another_machine_is_not_counted_and_the_log_and_a_metric_report_it() {
    let mut broker = moved(&[]).await;
    broker.start_and_wait_for_log(&["the wall clock is more than a day ahead of the last run"]);
    let uncounted = broker.metric("restante_clock_uncounted_seconds").await;
    assert!((uncounted - DAYS.as_secs_f64()).abs() < 60.0, "{uncounted}");
    assert_eq!(content(&broker).await, "lives");
    assert_eq!(content(&broker).await, "", "the other is not due");
}

#[tokio::test]
async fn downtime_on_another_machine_is_counted_with_count_downtime() {
    let mut broker = moved(&["--count-downtime=true"]).await;
    broker.start_and_wait_for_log(&["the downtime is counted as passed"]);
    assert_eq!(broker.metric("restante_clock_uncounted_seconds").await, 0.0);
    assert_eq!(content(&broker).await, "is due");
    assert_eq!(content(&broker).await, "", "the other is over");
}

#[tokio::test]
async fn downtime_is_unknown_after_a_run_on_a_machine_whose_clock_was_not_set() {
    for flags in [&[][..], &["--count-downtime=true"]] {
        let mut broker = moved_from(flags, 0).await;
        broker.start_and_wait_for_log(&["the downtime is unknown"]);
        assert_eq!(content(&broker).await, "lives");
        assert_eq!(content(&broker).await, "", "the other is not due");
    }
}
