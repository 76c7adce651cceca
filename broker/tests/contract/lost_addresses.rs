//! Messages of channels that the address store has lost: they are in orphans with their own names, and `check` reports
//! what a start will do.

use std::{
    cell::Cell,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Output,
};

use proptest::{
    prelude::Strategy,
    prop_oneof,
    test_runner::{Config, TestRunner},
};
use reqwest::{Method, StatusCode};
use restante_wire::{ChannelConfig, ProblemType, control::StoreState};
use serde_json::Value;

use crate::{
    broker::{Broker, ORDERS, assert_problem, command, ended, header},
    maintenance::{bytes_of, dumped, on, run_command, status, stderr, stdout},
    operator::{channel, control, put, sync, with_channels},
};

const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

fn journal(broker: &Broker) -> PathBuf {
    broker.data_folder().join("addresses/journal")
}

fn channels() -> Vec<ChannelConfig> {
    NAMES.map(channel).to_vec()
}

/// A folder of a broker that was programmed with five channels one by one, with fifty messages in them, each with a key
/// equal to its body.
async fn with_fifty_messages() -> Broker {
    let mut broker = with_channels(&[]).await;
    for name in NAMES {
        assert_eq!(put(&broker, &channel(name)).await.status(), StatusCode::OK);
    }
    for number in 0..50 {
        let response = push_again(&broker, number).await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    broker.kill();
    broker
}

async fn push_again(broker: &Broker, number: usize) -> reqwest::Response {
    let address = format!("acme/{}", NAMES[number % 5]);
    broker.push(&address, number.to_string()).header("idempotency-key", number).send().await.unwrap()
}

/// Asserts that all fifty messages are in channels of their own names.
fn assert_all_messages(folder: &Path) {
    let mut messages: Vec<(usize, String)> = dumped(folder, &[])
        .iter()
        .map(|message| {
            let text = |field: &str| message[field].as_str().unwrap().to_owned();
            (text("content").parse().unwrap(), text("channel"))
        })
        .collect();
    messages.sort();
    let expected: Vec<_> = (0..50).map(|number| (number, format!("acme/{}", NAMES[number % 5]))).collect();
    assert_eq!(messages, expected);
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&on(folder, "check", &["--json"]).stdout).unwrap()
}

#[tokio::test]
async fn a_half_truncated_journal_loses_no_message_and_no_key() {
    let mut broker = with_fifty_messages().await;
    let bytes = fs::read(journal(&broker)).unwrap();
    fs::write(journal(&broker), &bytes[..bytes.len() / 2]).unwrap();
    let checked = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&checked), 1, "{}", stdout(&checked));
    let lost = ["acme/three", "acme/four", "acme/five"];
    for name in lost {
        assert!(
            stdout(&checked).contains(&format!("{name} (orphan, known from the log)")),
            "{}",
            stdout(&checked)
        );
    }
    assert_all_messages(&broker.data_folder());
    broker.start();
    broker.kill();
    // From now on the address store has them again.
    let after = report(&broker.data_folder());
    assert_eq!((&after["healthy"], &after["addresses"]["orphans"]), (&true.into(), &3.into()), "{after}");
    assert_all_messages(&broker.data_folder());
    broker.start();
    assert_eq!(sync(&broker, &channels()).await.status(), StatusCode::OK);
    for number in 0..50 {
        assert_eq!(header(&push_again(&broker, number).await, "idempotency-replayed"), "true", "{number}");
    }
    let state: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    assert_eq!((state.channels, state.orphans), (5, 0));
    assert_eq!(broker.pulled("acme/five").await.0, b"4");
}

#[tokio::test]
async fn a_start_without_addresses_warns_with_name_and_uid_of_each_channel_that_has_messages() {
    let mut broker = with_fifty_messages().await;
    fs::remove_dir_all(broker.data_folder().join("addresses")).unwrap();
    assert_eq!(report(&broker.data_folder())["healthy"], false);
    let flags = ["--segment-size".to_owned(), "4MiB".to_owned()];
    let mut child = command(&broker.data_folder(), &flags).spawn().unwrap();
    let mut printed = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !printed.contains("the broker is ready") {
        printed = printed + &lines.next().unwrap().unwrap() + "\n";
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let warning = printed.lines().find(|line| line.contains("WARN")).unwrap();
    for name in NAMES {
        let named = format!("acme/{name} ({})", channel(name).uid);
        assert!(warning.contains(&named), "{warning}");
    }
    assert!(warning.contains("the operator sends its UID") && warning.contains("dump"), "{warning}");
    assert_all_messages(&broker.data_folder());
    broker.start();
    // A channel that is missing from the set is not deleted, and has its messages when it returns.
    sync(&broker, &channels()[..1]).await;
    assert_eq!(broker.pulled("acme/one").await.0, b"0");
    assert_problem(broker.pull("acme/two", "wait=0").send().await.unwrap(), 404, ProblemType::AddressUnknown)
        .await;
    put(&broker, &channel("two")).await;
    assert_eq!(broker.pulled("acme/two").await.0, b"1");
}

#[tokio::test]
async fn one_flipped_bit_in_the_journal_loses_no_name_no_uid_and_no_key() {
    let mut broker = with_fifty_messages().await;
    let mut bytes = fs::read(journal(&broker)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(journal(&broker), bytes).unwrap();
    let target = broker.folder.path().join("salvaged");
    let output = on(&broker.data_folder(), "salvage", &[target.to_str().unwrap()]);
    assert_eq!(status(&output), 1, "{}", stderr(&output));
    assert_all_messages(&target);
    let uids = |folder: &Path| {
        let report = report(folder);
        let channels = report["channels"].as_array().unwrap().iter();
        let mut uids: Vec<_> = channels.map(|channel| channel["uid"].as_str().unwrap().to_owned()).collect();
        uids.sort();
        uids
    };
    let mut expected = NAMES.map(|name| channel(name).uid.to_string());
    expected.sort();
    assert_eq!((uids(&target), uids(&broker.data_folder())), (expected.to_vec(), expected.to_vec()));
    fs::rename(broker.data_folder(), broker.folder.path().join("damaged")).unwrap();
    fs::rename(target, broker.data_folder()).unwrap();
    broker.start();
    sync(&broker, &channels()).await;
    for number in 0..50 {
        assert_eq!(header(&push_again(&broker, number).await, "idempotency-replayed"), "true", "{number}");
    }
}

/// The offset of the last change of a journal.
pub(crate) fn last_change(bytes: &[u8]) -> usize {
    let begins: Vec<_> =
        bytes.windows(4).enumerate().filter(|(_, window)| *window == b"Rsa1").map(|(at, _)| at).collect();
    // The last entry is its mark.
    begins[begins.len() - 2]
}

#[tokio::test]
async fn a_deleted_channel_stays_deleted_though_the_address_store_lost_the_deletion() {
    let mut broker = with_channels(&[channel("gone"), channel("kept")]).await;
    broker.pushed("acme/gone", "gone").await;
    broker.pushed("acme/kept", "kept").await;
    let path = format!("channels/{}?force=true", channel("gone").uid);
    let deleted = control(&broker, Method::DELETE, &path, String::new()).await;
    assert_eq!(deleted.status(), StatusCode::OK);
    broker.kill();
    let bytes = fs::read(journal(&broker)).unwrap();
    fs::write(journal(&broker), &bytes[..last_change(&bytes)]).unwrap();
    let of = |folder: &Path| -> Vec<Value> {
        dumped(folder, &[]).into_iter().map(|message| message["content"].clone()).collect()
    };
    assert_eq!(of(&broker.data_folder()), ["kept"]);
    broker.start();
    // A set that still contains the channel does not create it again.
    sync(&broker, &[channel("gone"), channel("kept")]).await;
    let pushed = broker.push("acme/gone", "late").send().await.unwrap();
    assert!(pushed.status().is_client_error(), "{pushed:?}");
    let again = control(&broker, Method::DELETE, &path, String::new()).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_problem(put(&broker, &channel("gone")).await, 410, ProblemType::ChannelDeleted).await;
    broker.kill();
    // A start without any addresses does not create it either.
    fs::remove_dir_all(broker.data_folder().join("addresses")).unwrap();
    broker.start();
    broker.kill();
    assert_eq!(of(&broker.data_folder()), ["kept"]);
}

fn refused(broker: &Broker) -> String {
    let flags = ["--segment-size".to_owned(), "4MiB".to_owned()];
    let output: Output = ended(&mut command(&broker.data_folder(), &flags));
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn addresses_of_another_broker_are_refused_before_anything_is_written() {
    let broker = with_fifty_messages().await;
    let mut other = with_channels(&["six", "seven", "eight"].map(channel)).await;
    other.kill();
    fs::copy(journal(&other), journal(&broker)).unwrap();
    let written = || {
        let mut files = bytes_of(&broker.data_folder());
        // The lock names the last owner of the folder.
        files.remove("lock");
        files
    };
    let before = written();
    let printed = refused(&broker);
    assert!(printed.contains("addresses") && printed.contains("of another broker"), "{printed}");
    assert!(written() == before);
    let checked = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&checked), 1);
    assert!(
        stdout(&checked).contains("DAMAGED addresses: it is the address store of another"),
        "{}",
        stdout(&checked)
    );
}

#[tokio::test]
async fn a_lost_address_store_can_be_put_back_after_a_start_without_it() {
    let mut broker = with_fifty_messages().await;
    let (addresses, away) = (broker.data_folder().join("addresses"), broker.folder.path().join("away"));
    fs::rename(&addresses, &away).unwrap();
    broker.start();
    broker.kill();
    fs::remove_dir_all(&addresses).unwrap();
    fs::rename(&away, &addresses).unwrap();
    assert_eq!(report(&broker.data_folder())["healthy"], true);
    broker.start();
    broker.kill();
    assert_all_messages(&broker.data_folder());
}

#[tokio::test]
async fn a_snapshot_beside_the_journal_of_another_broker_is_refused() {
    let broker = with_fifty_messages().await;
    let mut other = with_channels(&["six", "seven", "eight"].map(channel)).await;
    other.kill();
    let salvaged = other.folder.path().join("salvaged");
    // A salvaged address store has a snapshot.
    on(&other.data_folder(), "salvage", &[salvaged.to_str().unwrap()]);
    fs::copy(salvaged.join("addresses/snapshot"), broker.data_folder().join("addresses/snapshot")).unwrap();
    let printed = refused(&broker);
    assert!(printed.contains("belongs to another address store than the one beside it"), "{printed}");
}

#[tokio::test]
async fn an_address_store_from_another_point_in_time_loses_no_message() {
    let mut broker = with_fifty_messages().await;
    // One broker continues as two, each with a channel of its own.
    let (here, twin) = (broker.data_folder(), broker.folder.path().join("twin"));
    copy_folder(&here, &twin);
    broker.start();
    put(&broker, &channel("seven")).await;
    broker.kill();
    fs::copy(journal(&broker), twin.join("journal-of-the-other")).unwrap();
    fs::remove_dir_all(&here).unwrap();
    fs::rename(&twin, &here).unwrap();
    broker.start();
    put(&broker, &channel("six")).await;
    broker.pushed("acme/six", "6").await;
    let (_, lease) = broker.pulled("acme/six").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    broker.kill();
    fs::rename(here.join("journal-of-the-other"), journal(&broker)).unwrap();
    // The ids of channels follow from their UIDs, so no message can come to another channel.
    let checked = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&checked), 0, "{}", stdout(&checked));
    broker.start();
    broker.pushed("acme/seven", "7").await;
    assert_eq!(broker.pulled("acme/seven").await.0, b"7");
    broker.kill();
    let target = broker.folder.path().join("salvaged");
    assert_eq!(status(&on(&broker.data_folder(), "salvage", &[target.to_str().unwrap()])), 0);
    let messages = dumped(&target, &[]);
    assert_eq!(messages.len(), 51, "all fifty, and the leased one of acme/seven");
}

/// A copy of a data folder.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for (name, bytes) in bytes_of(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Whether a broker starts on a folder; it is killed once it is ready.
fn starts(folder: &Path) -> bool {
    let flags = ["--segment-size".to_owned(), "4MiB".to_owned()];
    let mut child = command(folder, &flags).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let serves = lines.any(|line| line.contains("the broker is ready"));
    child.kill().unwrap();
    child.wait().unwrap();
    serves
}

#[tokio::test]
async fn a_start_with_damaged_addresses_has_every_message_or_refuses_as_check_predicts() {
    let broker = with_fifty_messages().await;
    let (whole, length) = (broker.data_folder(), fs::metadata(journal(&broker)).unwrap().len() as usize);
    let place = || 0..length;
    let damage = prop_oneof![
        place().prop_map(|at| (at, None)),
        (place(), 0..8_u8).prop_map(|(at, bit)| (at, Some((1 << bit, 1)))),
        (place(), 1..400_usize).prop_map(|(at, bytes)| (at, Some((0xff, bytes)))),
    ];
    let config = Config { cases: 30, failure_persistence: None, ..Config::default() };
    let (started, refused) = (Cell::new(0), Cell::new(0));
    let outcome = TestRunner::new(config).run(&damage.no_shrink(), |(at, change)| {
        let folder = broker.folder.path().join("copy");
        copy_folder(&whole, &folder);
        let path = folder.join("addresses/journal");
        let mut bytes = fs::read(&path).unwrap();
        match change {
            None => bytes.truncate(at),
            Some((mask, count)) => bytes.iter_mut().skip(at).take(count).for_each(|byte| *byte ^= mask),
        }
        fs::write(&path, bytes).unwrap();
        let is_healthy = report(&folder)["healthy"] == true;
        if starts(&folder) {
            started.update(|count| count + 1);
            assert_all_messages(&folder);
        } else {
            refused.update(|count| count + 1);
            assert!(!is_healthy, "{at} {change:?}: it is healthy and does not start");
        }
        fs::remove_dir_all(&folder).unwrap();
        Ok(())
    });
    outcome.unwrap();
    assert!(started.get() > 3 && refused.get() > 3, "{started:?} {refused:?}");
}

#[tokio::test]
async fn a_start_with_unchanged_manifests_writes_nothing_to_the_addresses() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "x").await;
    broker.stop();
    let before = bytes_of(&broker.data_folder().join("addresses"));
    for _ in 0..2 {
        broker.start();
        broker.stop();
    }
    assert_eq!(bytes_of(&broker.data_folder().join("addresses")), before);
    broker.write_manifests(&ORDERS.replace("messages: 100", "messages: 101"));
    broker.start();
    broker.stop();
    assert_ne!(bytes_of(&broker.data_folder().join("addresses")), before);
}

#[tokio::test]
async fn manifests_that_change_the_durability_of_a_channel_are_refused() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "to be kept").await;
    broker.stop();
    broker.write_manifests(&ORDERS.replace("spec:", "spec:\n  durability: Memory"));
    let flags =
        ["--segment-size", "4MiB", "--manifests", broker.manifests().to_str().unwrap()].map(str::to_owned);
    let output = ended(&mut command(&broker.data_folder(), &flags));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(status(&output), 78, "{printed}");
    assert!(
        printed.contains("the durability of channel acme/orders cannot change")
            && printed.contains("create it again"),
        "{printed}"
    );
    broker.write_manifests(ORDERS);
    broker.start();
    assert_eq!(broker.pulled("acme/orders").await.0, b"to be kept");
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[tokio::test]
async fn long_empty_files_are_reported_quickly() {
    let mut broker = with_channels(&[channel("orders")]).await;
    broker.pushed("acme/orders", "in a segment").await;
    broker.kill();
    let (segment, _) = broker.segment_with(b"in a segment");
    for name in ["restante.json", "lease-key", "addresses/journal", &segment] {
        let path = broker.data_folder().join(name);
        let length = fs::metadata(&path).unwrap().len();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let output = on(&broker.data_folder(), "check", &[]);
        let printed = format!("{}{}", stdout(&output), stderr(&output));
        assert!(status(&output) > 0 && printed.contains(file_name(name)), "{name}: {printed}");
        assert!(refused(&broker).contains(file_name(name)), "{name}");
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    }
    assert_eq!(status(&on(&broker.data_folder(), "check", &[])), 0);
}

#[test]
fn a_manifest_that_is_a_pipe_is_reported_without_waiting() {
    let broker = Broker::prepared(&[]);
    let path = broker.manifests().join("channels.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let flags = ["--manifests".to_owned(), path.display().to_string()];
    let output = ended(&mut command(&broker.data_folder(), &flags));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(printed.contains("channels.yaml") && printed.contains("a pipe"), "{printed}");
    assert!(!run_command(&["check", broker.data_folder().to_str().unwrap()]).status.success());
}

#[tokio::test]
async fn manifests_restore_channels_and_their_messages_after_the_address_store_was_lost() {
    let mut broker = Broker::serving(ORDERS);
    broker.pushed("acme/orders", "stays").await;
    broker.stop();
    fs::remove_dir_all(broker.data_folder().join("addresses")).unwrap();
    let checked = on(&broker.data_folder(), "check", &[]);
    let expected = "were never deleted: acme/orders (";
    assert!(stdout(&checked).contains(expected), "{}", stdout(&checked));
    assert!(stdout(&checked).contains("The folder addresses is missing or empty"), "{}", stdout(&checked));
    broker.start_and_wait_for_log(&[
        "they are kept as orphans: acme/orders (",
        "manifests restored orphans, with their messages: acme/orders",
    ]);
    assert_eq!(broker.pulled("acme/orders").await.0, b"stays");
}

#[tokio::test]
async fn a_dump_distinguishes_two_channels_of_one_name_by_uid() {
    let broker = with_channels(&[]).await;
    for number in 1..=2 {
        let recreated = ChannelConfig { uid: uuid::Uuid::from_u128(number), ..channel("one") };
        assert_eq!(sync(&broker, &[recreated]).await.status(), StatusCode::OK);
        broker.pushed("acme/one", number.to_string()).await;
    }
    let mut broker = broker;
    broker.stop();
    let uid = |number| uuid::Uuid::from_u128(number).to_string();
    let messages = |arguments: &[&str]| -> Vec<(String, String)> {
        let text = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
        let dumped = dumped(&broker.data_folder(), arguments);
        dumped.iter().map(|message| (text(message, "channelUid"), text(message, "content"))).collect()
    };
    let [first, second] = [(uid(1), "1".to_owned()), (uid(2), "2".to_owned())];
    assert_eq!(messages(&["--channel", "acme/one"]), [first, second.clone()]);
    assert_eq!(messages(&["--channel", &uid(2)]), [second]);
    let none = on(&broker.data_folder(), "dump", &["--channel", &uid(3)]);
    assert!(stderr(&none).contains(&format!("acme/one ({})", uid(1))), "{}", stderr(&none));
}

#[tokio::test]
async fn the_refused_deletion_of_an_orphan_explains_what_to_do() {
    let broker = with_channels(&[channel("one")]).await;
    broker.pushed("acme/one", "1").await;
    sync(&broker, &[]).await;
    let path = format!("channels/{}", channel("one").uid);
    let refused = control(&broker, Method::DELETE, &path, String::new()).await;
    let problem = assert_problem(refused, 409, ProblemType::ChannelNotEmpty).await;
    assert!(problem.detail.starts_with("orphan ") && problem.detail.contains("dump"), "{problem:?}");
    assert!(!problem.detail.contains("received"), "{problem:?}");
}
