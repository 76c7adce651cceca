//! The broker and its log: truncated logs, removed lock files, and two brokers that write one folder.

use std::fs;

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    broker::{Broker, ORDERS, ended},
    lost_addresses::copy_folder,
    maintenance::{bytes_of, dumped, on, status, stderr, stdout},
    operator::{channel, put, with_channels},
};

const MESSAGES: usize = 60;

/// A broker that has stored some messages and was stopped.
async fn stored(in_order: bool) -> Broker {
    let mut broker = Broker::with_flags(ORDERS, &["--cores", "1"]);
    for number in 0..MESSAGES {
        broker.pushed("acme/orders", format!("message {number:03}")).await;
    }
    if in_order {
        assert!(broker.stop().success());
    } else {
        broker.kill();
    }
    broker
}

#[tokio::test]
async fn a_log_whose_end_was_truncated_or_zeroed_is_reported_by_check_and_refused_by_a_start() {
    for in_order in [true, false] {
        let broker = stored(in_order).await;
        assert_eq!(status(&on(&broker.data_folder(), "check", &[])), 0);
        let (file, offset) = broker.segment_with(b"message 030");
        let path = broker.data_folder().join(&file);
        let whole = fs::read(&path).unwrap();
        for zeroed in [true, false] {
            let mut bytes = whole.clone();
            bytes.truncate(offset);
            if zeroed {
                bytes.resize(whole.len(), 0);
            }
            fs::write(&path, &bytes).unwrap();
            let before = bytes_of(&broker.data_folder());
            let output = on(&broker.data_folder(), "check", &["--json"]);
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((status(&output), &report["healthy"]), (1, &false.into()), "{report}");
            assert!(report["damage"].to_string().contains(&file), "{report}");
            let output = ended(&mut broker.command());
            let printed = stderr(&output);
            assert_eq!(status(&output), 1, "{printed}");
            assert!(printed.contains(&file) && printed.contains("restante-broker check"), "{printed}");
            let log = |files: std::collections::BTreeMap<String, Vec<u8>>| {
                files.into_iter().filter(|(name, _)| name.starts_with("log/")).collect::<Vec<_>>()
            };
            assert!(log(bytes_of(&broker.data_folder())) == log(before), "the start changed the log");
            let target = broker.folder.path().join(format!("salvaged-{in_order}-{zeroed}"));
            let output = on(&broker.data_folder(), "salvage", &[target.to_str().unwrap()]);
            assert!(stdout(&output).contains("30 messages are in"), "{}{}", stdout(&output), stderr(&output));
        }
    }
}

#[tokio::test]
async fn a_missing_file_synced_is_reported_and_created_again() {
    let mut broker = stored(true).await;
    let synced = broker.data_folder().join("log/synced");
    fs::remove_file(&synced).unwrap();
    let output = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&output), 1);
    let printed = stdout(&output);
    assert!(printed.contains("log/synced") && printed.contains("it is unknown whether"), "{printed}");
    assert!(!printed.contains("nothing is lost"), "nobody can tell: {printed}");
    broker.start_and_wait_for_log(&["it is unknown whether the log was longer"]);
    assert!(synced.exists());
    assert_eq!(broker.pulled("acme/orders").await.0, b"message 000");
    broker.kill();
    assert_eq!(status(&on(&broker.data_folder(), "check", &[])), 0);
}

#[tokio::test]
async fn removed_segments_are_reported_as_missing_and_no_other_file_is_blamed() {
    let broker = stored(true).await;
    let (file, _) = broker.segment_with(b"message 030");
    fs::remove_file(broker.data_folder().join(&file)).unwrap();
    let output = on(&broker.data_folder(), "check", &[]);
    let printed = stdout(&output);
    assert_eq!(status(&output), 1, "{printed}");
    assert!(printed.contains("DAMAGED log: frames that were on disk are missing"), "{printed}");
    assert!(!printed.contains("log/synced"), "{printed}");
    let output = ended(&mut broker.command());
    let printed = stderr(&output);
    assert_eq!(status(&output), 1, "{printed}");
    assert!(
        printed.contains("lacks the file of a segment: frames 1 to") && !printed.contains("synced"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_broker_whose_lock_file_was_removed_refuses_changes_of_the_channels() {
    let mut broker = with_channels(&[channel("orders")]).await;
    fs::remove_file(broker.data_folder().join("lock")).unwrap();
    let mut second = broker.on_same_folder();
    second.start();
    assert_eq!(put(&second, &channel("of-the-second")).await.status(), StatusCode::OK);
    let refused = put(&broker, &channel("of-the-first")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status_of_first, last) = broker.exit_status_and_last_line();
    assert_eq!(status_of_first, Some(74), "{last}");
    assert!(last.contains("lock"), "{last}");
    second.pushed("acme/of-the-second", "stored").await;
    second.kill();
    assert_eq!(status(&on(&broker.data_folder(), "check", &[])), 0);
    second.start();
    assert_eq!(second.pulled("acme/of-the-second").await.0, b"stored");
}

#[tokio::test]
async fn a_second_broker_on_the_folder_ends_the_first_with_74_and_no_message_is_lost() {
    let mut broker = stored(false).await;
    broker.start();
    // The writes of its start are done before this log line: the second finds the disk idle.
    broker.pushed("acme/orders", format!("message {MESSAGES:03}")).await;
    fs::remove_file(broker.data_folder().join("lock")).unwrap();
    let mut second = broker.on_same_folder();
    second.start();
    if let Ok(response) = broker.push("acme/orders", "of the first").send().await {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let (status_of_first, last) = broker.exit_status_and_last_line();
    assert_eq!(status_of_first, Some(74), "{last}");
    // The first broker notices the second's writes to the log, or its lock if it checks that first.
    assert!(
        ["another broker has taken over the log: the file 'lock'", "data/lock "]
            .iter()
            .any(|how| last.contains(how)),
        "{last}"
    );
    for number in 0..=MESSAGES {
        assert_eq!(second.pulled("acme/orders").await.0, format!("message {number:03}").into_bytes());
    }
    second.kill();
    assert_eq!(status(&on(&broker.data_folder(), "check", &[])), 0);
}

#[tokio::test]
async fn a_broker_whose_lock_file_was_removed_begins_no_new_segment() {
    let mut broker = Broker::with_flags(ORDERS, &["--segment-size", "1MiB"]);
    fs::remove_file(broker.data_folder().join("lock")).unwrap();
    let mut stored = 0;
    for _ in 0..20 {
        match broker.push("acme/orders", vec![b'x'; 300 << 10]).send().await {
            Ok(response) if response.status() == StatusCode::CREATED => stored += 1,
            _ => break,
        }
    }
    let (status, last) = broker.exit_status_and_last_line();
    assert_eq!(status, Some(74), "{last}");
    assert!(last.contains("lock was removed") && stored < 20, "{last}");
    broker.start();
    for _ in 0..stored {
        broker.pulled("acme/orders").await;
    }
}

/// The files that a refused start has changed.
fn changed_by_a_refusal(broker: &Broker) -> Vec<String> {
    let files = || {
        let mut files = bytes_of(&broker.data_folder());
        // The lock names the last owner of the folder.
        files.remove("lock");
        files
    };
    let before = files();
    let output = ended(&mut broker.command());
    assert!(!output.status.success());
    let after = files();
    let names = before.keys().chain(after.keys()).cloned().collect::<std::collections::BTreeSet<_>>();
    names.into_iter().filter(|name| before.get(name) != after.get(name)).collect()
}

/// A broker that was stopped, with another broker's log next to its own.
async fn with_the_log_of_another() -> Broker {
    let mut broker = Broker::with_flags(ORDERS, &["--cores", "1"]);
    let mut other = Broker::with_flags(ORDERS, &["--cores", "1"]);
    broker.pushed("acme/orders", "own").await;
    other.pushed("acme/orders", "another's").await;
    broker.stop();
    other.stop();
    copy_folder(&other.data_folder().join("log"), &broker.data_folder().join("log-2-0of1"));
    broker
}

#[tokio::test]
async fn a_log_of_another_broker_in_the_data_folder_is_reported_by_check_and_refused_by_a_start() {
    let broker = with_the_log_of_another().await;
    let checked = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&checked), 1);
    assert!(
        stdout(&checked).contains("DAMAGED log-2-0of1: it is not a log of this data folder"),
        "{}",
        stdout(&checked)
    );
    assert_eq!(changed_by_a_refusal(&broker), [""; 0]);
}

#[tokio::test]
async fn salvage_does_not_copy_the_log_of_another_broker() {
    let broker = with_the_log_of_another().await;
    let new = broker.folder.path().join("new");
    assert_eq!(status(&on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()])), 1);
    let contents: Vec<_> = dumped(&new, &[]).iter().map(|message| message["content"].clone()).collect();
    assert_eq!(contents, ["own"]);
}

#[tokio::test]
async fn a_refused_start_creates_neither_a_lease_key_nor_a_log() {
    let mut broker = Broker::with_flags(ORDERS, &["--cores", "1"]);
    broker.pushed("acme/orders", "stored").await;
    broker.stop();
    fs::remove_file(broker.data_folder().join("lease-key")).unwrap();
    fs::remove_dir_all(broker.data_folder().join("log")).unwrap();
    assert_eq!(changed_by_a_refusal(&broker), [""; 0]);
    assert!(!broker.data_folder().join("log").exists());
}

#[tokio::test]
async fn a_broker_whose_data_folder_was_moved_away_acknowledges_no_push() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    fs::rename(broker.data_folder(), broker.folder.path().join("moved")).unwrap();
    let response = broker.push("acme/orders", "y").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status, last) = broker.exit_status_and_last_line();
    assert_eq!(status, Some(74), "{last}");
    assert!(last.contains("lock was removed, or the data folder was moved away"), "{last}");
}
