//! Exit codes and last log lines: one test per row of the table in docs/data-care.md.

use std::{fs, path::Path, process::Command};

use reqwest::StatusCode;

use crate::broker::{self, Broker, ORDERS, command};

/// Runs a broker that must not start. Returns its status, and its last line.
fn ended(mut command: Command) -> (i32, String) {
    let output = broker::ended(&mut command);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = printed.lines().last().unwrap_or_default().to_owned();
    (output.status.code().unwrap_or_else(|| panic!("{printed}")), last)
}

#[tokio::test]
async fn a_broker_that_receives_sigterm_exits_with_0() {
    let mut broker = Broker::serving(ORDERS);
    assert_eq!(broker.stop().code(), Some(0));
}

#[tokio::test]
async fn a_disk_that_fails_a_write_to_the_log_ends_the_broker_with_74_and_the_last_line_names_it() {
    let mut broker = Broker::with_flags(ORDERS, &["--cores", "1"]);
    broker.pushed("acme/orders", "stored").await;
    broker.limit_files(4096);
    // The broker may be gone before the answer.
    if let Ok(response) = broker.push("acme/orders", "not stored").send().await {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let (status, last) = broker.exit_status_and_last_line();
    assert_eq!(status, Some(74), "{last}");
    assert!(last.contains("log/00000") && last.contains("os error 27"), "{last}");
    broker.start();
    assert_eq!(broker.pulled("acme/orders").await.0, b"stored");
}

#[tokio::test]
async fn a_disk_that_fails_a_write_to_the_address_store_ends_the_start_with_74() {
    let mut broker = Broker::with_flags(ORDERS, &["--segment-size", "1MiB"]);
    assert!(broker.stop().success());
    // More than a segment, so that the limit of the file size stops the change of the addresses and not the log.
    // Few channels with long destinations, because reading many channels is slow.
    let channel = |number: usize| {
        let destinations: Vec<_> =
            (0..16).map(|one| format!("orders-{number}-{one}-{}", "d".repeat(160))).collect();
        let name = ORDERS.replace("orders", &format!("orders-{number}"));
        format!("---{name}  destinations: [{}]\n", destinations.join(", "))
    };
    broker.write_manifests(&(0..400).map(channel).collect::<String>());
    let mut command = Command::new("prlimit");
    let inner = broker.command();
    command.arg(format!("--fsize={}", 1 << 20)).arg(inner.get_program()).args(inner.get_args());
    let (status, last) = ended(command);
    assert_eq!(status, 74, "{last}");
    assert!(last.contains("addresses") && last.contains("os error 27"), "{last}");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_created_ends_the_start_with_78() {
    let (status, last) = ended(command(Path::new("/proc/none"), &[]));
    assert_eq!(status, 78, "{last}");
    assert!(last.contains("/proc/none") && last.contains("--data-dir"), "{last}");
}

#[tokio::test]
async fn invalid_manifests_end_the_start_with_78() {
    let mut broker = Broker::serving(ORDERS);
    assert!(broker.stop().success());
    broker.write_manifests("kind: [");
    let (status, last) = ended(broker.command());
    assert_eq!(status, 78, "{last}");
    assert!(last.contains("channels.yaml"), "{last}");
}

#[tokio::test]
async fn a_data_folder_in_use_ends_the_start_with_1() {
    let broker = Broker::serving(ORDERS);
    let (status, last) = ended(broker.command());
    assert_eq!(status, 1, "{last}");
    assert!(last.contains("in use"), "{last}");
}

#[tokio::test]
async fn a_damaged_log_ends_the_start_with_1() {
    let mut broker = Broker::serving(ORDERS);
    for number in 0..5 {
        broker.pushed("acme/orders", format!("message {number}")).await;
    }
    broker.kill();
    let (file, offset) = broker.segment_with(b"message 2");
    let path = broker.data_folder().join(file);
    let mut bytes = fs::read(&path).unwrap();
    // In the head of its record: damage in a body alone would lose only that message.
    bytes[offset - 30] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (status, last) = ended(broker.command());
    assert_eq!(status, 1, "{last}");
    assert!(last.contains("is damaged at offset"), "{last}");
}

#[tokio::test]
async fn an_unknown_flag_ends_the_start_with_2() {
    let broker = Broker::prepared(&["--no-such-flag"]);
    assert_eq!(ended(broker.command()).0, 2);
}
