//! Unusable data folders and ports: the broker reports them and does not start.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    process::Output,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};

use crate::{
    broker::{Broker, ORDERS, command, ended},
    maintenance::{on, status, stdout},
};

/// Runs a broker that must not start, and returns its output.
fn refused(broker: &Broker, flags: &[&str]) -> (Output, String) {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let output = ended(&mut command(&broker.data_folder(), &flags));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{printed}");
    (output, printed)
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let (_, printed) =
        refused(&Broker::prepared(&[]), &["--control-listen", &port, "--control-token-file", "/dev/null"]);
    assert!(printed.contains(&port) && printed.contains("--control-listen"), "{printed}");
}

#[tokio::test]
async fn a_data_folder_in_use_by_another_broker_is_refused() {
    let broker = Broker::serving(ORDERS);
    let (_, printed) = refused(&broker, &[]);
    assert!(printed.contains("data") && printed.contains("another"), "{printed}");
    broker.pushed("acme/orders", "the first broker goes on").await;
}

/// The files of a log and their lengths.
fn log_files(data_folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(data_folder.join("log")).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into(), entry.metadata().unwrap().len()))
        .collect()
}

#[tokio::test]
async fn the_owner_of_the_lock_is_the_only_user_of_the_folder() {
    // Large segments, so that the broker is still creating a spare one at the first and at the second stop signal.
    for signals in [1, 2] {
        let mut broker = Broker::with_flags(ORDERS, &["--segment-size", "256MiB"]);
        let lock = fs::File::open(broker.data_folder().join("lock")).unwrap();
        for _ in 0..signals {
            broker.signal(Signal::TERM);
        }
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let files = log_files(&broker.data_folder());
        broker.wait_for_end();
        assert_eq!(log_files(&broker.data_folder()), files);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    // Root can write in spite of the mode, but cannot create a folder under a file.
    let broker = Broker::prepared(&[]);
    fs::write(broker.data_folder(), "a file").unwrap();
    let (_, printed) = refused(&broker, &[]);
    assert!(printed.contains("data"), "{printed}");
    assert_eq!(fs::read(broker.data_folder()).unwrap(), b"a file");
}

#[tokio::test]
async fn the_lease_key_is_readable_for_its_owner_only() {
    let broker = Broker::serving(ORDERS);
    let mode = fs::metadata(broker.data_folder().join("lease-key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn check_reports_a_missing_lease_key() {
    let mut broker = Broker::serving(ORDERS);
    broker.kill();
    fs::remove_file(broker.data_folder().join("lease-key")).unwrap();
    let output = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&output), 1);
    assert!(stdout(&output).contains("DAMAGED lease-key: it is missing"), "{}", stdout(&output));
}

#[tokio::test]
async fn a_start_without_a_lease_key_creates_one_and_warns() {
    let mut broker = Broker::serving(ORDERS);
    broker.kill();
    fs::remove_file(broker.data_folder().join("lease-key")).unwrap();
    broker.start_and_wait_for_log(&["current leases cannot be settled"]);
    assert_eq!(fs::read(broker.data_folder().join("lease-key")).unwrap().len(), 32);
}

#[tokio::test]
async fn a_log_damaged_in_the_middle_is_refused_with_file_and_offset_and_not_changed() {
    let mut broker = Broker::serving(ORDERS);
    for number in 0..50 {
        broker.pushed("acme/orders", format!("message {number}")).await;
    }
    broker.kill();
    let (file, offset) = broker.segment_with(b"message 10");
    let segment = broker.data_folder().join(file);
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    // In the head of its record: damage in a body alone would lose only that message.
    let mut damaged = fs::read(&segment).unwrap();
    damaged[offset - 30] ^= 1;
    file.write_at(&damaged[offset - 30..][..1], offset as u64 - 30).unwrap();
    let (_, printed) = refused(&broker, &["--segment-size", "4MiB"]);
    let name = segment.file_name().unwrap().to_string_lossy().into_owned();
    assert!(printed.contains(&name) && printed.contains("offset"), "{printed}");
    assert!(fs::read(&segment).unwrap() == damaged, "the damaged file was changed");
}
