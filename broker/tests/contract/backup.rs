//! Backups: taken under traffic, and restored completely or not at all.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use reqwest::{Method, StatusCode};
use restante_broker::backup::{Manifest, Writer};
use restante_wire::{Revision, control::StoreState};
use serde_json::Value;
use tokio::task::{LocalSet, spawn_local};

use crate::{
    broker::Broker,
    maintenance::{dumped, on, run_command, status, stderr, stdout},
    operator::{channel, control, orders, with_channels_and_flags},
};

/// The arguments of the backup command.
pub(crate) fn backup_arguments(broker: &Broker, file: &Path) -> [String; 7] {
    let url = format!("http://{}", broker.address("--control-listen"));
    let token = broker.folder.path().join("token").display().to_string();
    let file = file.display().to_string();
    ["backup", "--control-url", &url, "--control-token-file", &token, "--output", &file].map(str::to_owned)
}

/// Takes a backup with the command, into a file.
pub(crate) fn backed_up(broker: &Broker, name: &str) -> PathBuf {
    let file = broker.folder.path().join(name);
    let output = run_command(&backup_arguments(broker, &file).each_ref().map(String::as_str));
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    file
}

/// Restores a backup next to it.
pub(crate) fn restored(backup: &Path, name: &str) -> PathBuf {
    let folder = backup.with_file_name(name);
    let output = run_command(&["restore", backup.to_str().unwrap(), folder.to_str().unwrap()]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    folder
}

pub(crate) async fn small() -> Broker {
    with_channels_and_flags(&[channel("orders")], &["--segment-size", "1MiB"]).await
}

#[tokio::test]
async fn a_restored_backup_has_a_new_store_id_and_continues_from_the_backup() {
    let mut broker = with_channels_and_flags(&[orders(|_| {}), channel("gone")], &[]).await;
    broker.pushed("acme/orders", "leased").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    let id = broker.pushed("acme/orders", "ready").await;
    let push = broker.push("acme/orders", "with a key").header("idempotency-key", "k");
    push.send().await.unwrap();
    control(&broker, Method::DELETE, &format!("channels/{}", channel("gone").uid), String::new()).await;
    let before: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    let folder = restored(&backed_up(&broker, "backup.tar"), "restored");
    broker.kill();
    fs::rename(broker.data_folder(), broker.folder.path().join("lost")).unwrap();
    fs::rename(&folder, broker.data_folder()).unwrap();
    broker.start();
    let after: StoreState =
        control(&broker, Method::GET, "revision", String::new()).await.json().await.unwrap();
    assert_eq!((after.revision, &after.synced_at), (Revision::of([&orders(|_| {})]), &before.synced_at));
    assert_ne!(after.store_id, before.store_id, "a past state is another store");
    let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(settled.status(), StatusCode::NO_CONTENT, "leases that are out can be settled");
    let again = broker.push("acme/orders", "with a key").header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let first = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_eq!(first.headers()["message-id"], id.as_str());
    let deleted =
        control(&broker, Method::PUT, &format!("channels/{}", channel("gone").uid), "{}".into()).await;
    assert_ne!(deleted.status(), StatusCode::OK);
}

/// The answers that senders and receivers got.
#[derive(Default)]
struct Ledger {
    next: AtomicU64,
    acknowledged: Mutex<HashSet<u64>>,
    /// Settles that were sent, perhaps without an answer yet.
    settling: Mutex<HashSet<u64>>,
    settled: Mutex<HashSet<u64>>,
    enough: AtomicBool,
}

impl Ledger {
    fn copy(set: &Mutex<HashSet<u64>>) -> HashSet<u64> {
        set.lock().unwrap().clone()
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// Bytes of a body, besides its number.
const CONTENT_BYTES: usize = 16 << 10;

/// The number in a body.
fn number(content: &[u8]) -> u64 {
    let digits = content.split(|byte| *byte == b' ').next().unwrap();
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

async fn send(broker: Rc<Broker>, ledger: Rc<Ledger>) {
    while !ledger.enough.load(SeqCst) {
        let number = ledger.next.fetch_add(1, SeqCst);
        broker.pushed("acme/orders", format!("{number} {}", "x".repeat(CONTENT_BYTES))).await;
        ledger.acknowledged.lock().unwrap().insert(number);
    }
}

/// Settles all messages but every eighth.
async fn receive(broker: Rc<Broker>, ledger: Rc<Ledger>) {
    while !ledger.enough.load(SeqCst) {
        let response = broker.pull("acme/orders", "wait=1&lease=3600").send().await.unwrap();
        if response.status() == StatusCode::NO_CONTENT {
            continue;
        }
        let lease = response.headers()["location"].to_str().unwrap().to_owned();
        let number = number(&response.bytes().await.unwrap());
        if number.is_multiple_of(8) {
            continue;
        }
        ledger.settling.lock().unwrap().insert(number);
        let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
        assert_eq!(settled.status(), StatusCode::NO_CONTENT);
        ledger.settled.lock().unwrap().insert(number);
    }
}

#[tokio::test]
async fn a_backup_under_traffic_has_every_acknowledged_message_and_no_settled_one() {
    LocalSet::new().run_until(backups_under_traffic()).await;
}

async fn backups_under_traffic() {
    let orders = orders(|orders| {
        orders.limits.messages = 1_000_000;
        orders.delivery.max_lease_seconds = 3600;
    });
    let broker = with_channels_and_flags(&[orders], &["--segment-size", "1MiB"]).await;
    let (broker, ledger) = (Rc::new(broker), Rc::new(Ledger::default()));
    let mut traffic = Vec::new();
    for _ in 0..3 {
        traffic.push(spawn_local(send(broker.clone(), ledger.clone())));
        traffic.push(spawn_local(receive(broker.clone(), ledger.clone())));
    }
    for round in 1..=3 {
        while ledger.acknowledged() < round * 300 {
            tokio::task::yield_now().await;
        }
        let must_be_there = Ledger::copy(&ledger.acknowledged);
        let must_be_gone = Ledger::copy(&ledger.settled);
        let url = format!("http://{}/control/v1/backup", broker.address("--control-listen"));
        let request = broker.client.post(url).bearer_auth("a-credential-that-only-this-test-has");
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut archive = Vec::new();
        while let Some(piece) = response.chunk().await.unwrap() {
            archive.extend_from_slice(&piece);
            // A slow reader, so that segments become free before the backup has copied them.
            let seen = ledger.acknowledged();
            while ledger.acknowledged() < seen + 2 {
                tokio::task::yield_now().await;
            }
        }
        let may_be_gone = Ledger::copy(&ledger.settling);
        let file = broker.folder.path().join(format!("{round}.tar"));
        fs::write(&file, archive).unwrap();
        let folder = restored(&file, &format!("restored-{round}"));
        let messages = dumped(&folder, &[]);
        let there: HashSet<u64> =
            messages.iter().map(|message| number(message["content"].as_str().unwrap().as_bytes())).collect();
        assert_eq!(there.len(), messages.len(), "no message is there twice");
        let lost: Vec<_> = must_be_there.iter().filter(|number| !there.contains(number)).collect();
        assert!(lost.iter().all(|number| may_be_gone.contains(number)), "lost: {lost:?}");
        let back: Vec<_> = there.intersection(&must_be_gone).collect();
        assert!(back.is_empty(), "settled and back: {back:?}");
        let output = on(&folder, "check", &["--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counted = ["ready", "leased"].map(|state| report["channels"][0][state].as_u64().unwrap());
        assert_eq!(counted.iter().sum::<u64>() as usize, there.len());
        fs::remove_dir_all(folder).unwrap();
    }
    ledger.enough.store(true, SeqCst);
    for task in traffic {
        task.await.unwrap();
    }
    assert!(ledger.acknowledged() * CONTENT_BYTES > 12 << 20, "segments went round");
}

#[tokio::test]
async fn a_truncated_or_altered_backup_is_refused_and_leaves_no_folder() {
    let broker = small().await;
    for number in 0..20 {
        broker.pushed("acme/orders", number.to_string()).await;
    }
    let file = backed_up(&broker, "backup.tar");
    let whole = fs::read(&file).unwrap();
    let there = broker.folder.path().join("there");
    let target = broker.folder.path().join("restored");
    let refused = |bytes: &[u8], of: &str| {
        fs::write(&there, bytes).unwrap();
        let output = run_command(&["restore", there.to_str().unwrap(), target.to_str().unwrap()]);
        assert_eq!(status(&output), 2, "{of}: {}", stderr(&output));
        assert!(stderr(&output).contains("incomplete or invalid backup"), "{of}: {}", stderr(&output));
        let names: Vec<_> =
            fs::read_dir(broker.folder.path()).unwrap().map(|name| name.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().starts_with("restored")), "{of}: {names:?}");
    };
    for length in [0, 1, 511, 512, 5000, whole.len() / 2, whole.len() - 2048, whole.len() - 3000] {
        refused(&whole[..length], &format!("cut off at {length}"));
    }
    for text in ["orders", "RESTLOG1", "storeId", "takenAt", "lease-key"] {
        let at = whole.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
        let mut altered = whole.clone();
        altered[at + 1] ^= 1;
        refused(&altered, text);
    }
    refused(b"no archive at all", "text");
    restored(&file, "restored");
}

#[tokio::test]
async fn a_restore_replaces_a_folder_only_if_it_is_unused_and_moved_away() {
    let mut broker = small().await;
    broker.pushed("acme/orders", "x").await;
    let file = backed_up(&broker, "backup.tar");
    let old = broker.folder.path().join("old");
    for (flags, reason) in [(&[][..], "not empty"), (&["--move-old-to", old.to_str().unwrap()], "in use")] {
        let folder = broker.data_folder();
        let words = [&["restore", file.to_str().unwrap(), folder.to_str().unwrap()], flags].concat();
        let output = run_command(&words);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    broker.kill();
    let (folder, old) = (broker.data_folder(), old.to_str().unwrap());
    let words = ["restore", file.to_str().unwrap(), folder.to_str().unwrap(), "--move-old-to", old];
    assert_eq!(status(&run_command(&words)), 0);
    assert_eq!(dumped(&folder, &[]), dumped(Path::new(old), &[]));
    let empty = broker.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(status(&run_command(&["restore", file.to_str().unwrap(), empty.to_str().unwrap()])), 0);
    assert_eq!(status(&on(&empty, "check", &[])), 0);
}

#[tokio::test]
async fn a_backup_of_a_damaged_log_is_complete_and_reports_the_damage() {
    let broker = small().await;
    broker.pushed("acme/orders", "message one").await;
    let (segment, offset) = broker.segment_with(b"message one");
    let on_disk = fs::OpenOptions::new().write(true).open(broker.data_folder().join(&segment)).unwrap();
    on_disk.write_at(b"M", offset as u64).unwrap();
    let file = broker.folder.path().join("backup.tar");
    let output = run_command(&backup_arguments(&broker, &file).each_ref().map(String::as_str));
    assert_eq!(status(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("{segment} is damaged at offset")), "{}", stderr(&output));
    let output =
        run_command(&["restore", file.to_str().unwrap(), file.with_file_name("restored").to_str().unwrap()]);
    assert_eq!(status(&output), 1, "{}", stderr(&output));
}

#[tokio::test]
async fn a_failing_target_disk_is_not_reported_as_damage_of_the_backup() {
    let broker = small().await;
    broker.pushed("acme/orders", "x".repeat(10_000)).await;
    let file = backed_up(&broker, "backup.tar");
    // A limit of the file size makes the disk fail.
    let mut command = std::process::Command::new("prlimit");
    command.args(["--fsize=4096", "sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.args([env!("CARGO_BIN_EXE_restante-broker"), "restore"]);
    let output = command.arg(&file).arg(file.with_file_name("restored")).output().unwrap();
    assert_eq!(status(&output), 2);
    let printed = stderr(&output);
    assert!(
        printed.contains("cannot write") && !printed.contains("incomplete or invalid backup"),
        "{printed}"
    );
}

#[tokio::test]
async fn a_failed_backup_reports_the_reason_and_leaves_no_file() {
    let broker = small().await;
    let token = broker.folder.path().join("wrong");
    fs::write(&token, "another-credential-than-the-brokers").unwrap();
    let file = broker.folder.path().join("backup.tar");
    let take = |url: &str| {
        let (token, file) = (token.to_str().unwrap(), file.to_str().unwrap());
        run_command(&["backup", "--control-url", url, "--control-token-file", token, "--output", file])
    };
    let output = take(&format!("http://{}", broker.address("--control-listen")));
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("401") && stderr(&output).contains("token"), "{}", stderr(&output));
    for (url, reason) in
        [("http://127.0.0.1:1", "cannot talk"), ("https://x", "not the address of a control port")]
    {
        let output = take(url);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
    assert!(!file.exists() && !file.with_extension("tar.part").exists());
}

#[tokio::test]
async fn the_incomplete_backup_of_a_killed_broker_is_refused() {
    let mut broker = small().await;
    for _ in 0..16 {
        broker.pushed("acme/orders", vec![7; 512 << 10]).await;
    }
    let url = format!("http://{}/control/v1/backup", broker.address("--control-listen"));
    let request = broker.client.post(url).bearer_auth("a-credential-that-only-this-test-has");
    let mut response = request.send().await.unwrap();
    let mut archive = response.chunk().await.unwrap().unwrap().to_vec();
    broker.kill();
    let ended = loop {
        match response.chunk().await {
            Ok(Some(piece)) => archive.extend_from_slice(&piece),
            ended => break ended,
        }
    };
    assert!(ended.is_err(), "the transport knows that the archive is not whole");
    let file = broker.folder.path().join("backup.tar");
    fs::write(&file, archive).unwrap();
    let output =
        run_command(&["restore", file.to_str().unwrap(), broker.folder.path().join("new").to_str().unwrap()]);
    assert_eq!(status(&output), 2, "{}", stdout(&output));
}

#[tokio::test]
async fn a_second_concurrent_backup_is_503_and_the_first_one_can_be_restored() {
    let mut broker = small().await;
    for _ in 0..16 {
        broker.pushed("acme/orders", vec![7; 512 << 10]).await;
    }
    let url = format!("http://{}/control/v1/backup", broker.address("--control-listen"));
    let ask = || broker.client.post(&url).bearer_auth("a-credential-that-only-this-test-has").send();
    let first = ask().await.unwrap();
    let second = ask().await.unwrap();
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    let file = broker.folder.path().join("backup.tar");
    fs::write(&file, first.bytes().await.unwrap()).unwrap();
    let folder = restored(&file, "restored");
    broker.kill();
    fs::rename(broker.data_folder(), broker.folder.path().join("lost")).unwrap();
    fs::rename(folder, broker.data_folder()).unwrap();
    broker.start();
    for _ in 0..16 {
        assert_eq!(broker.pulled("acme/orders").await.0.len(), 512 << 10);
    }
}

/// An archive of one file with these bytes, with a header for another length.
fn archive_of(name: &str, contents: &[u8], padded: Option<u64>) -> Vec<u8> {
    let manifest = Manifest::new(uuid::Uuid::from_u128(7), "2026-11-23T23:24:24Z".to_owned());
    let mut writer = Writer::new(manifest, 0);
    let mut bytes = writer.begin(name, contents.len() as u64, padded).to_vec();
    writer.contents(contents);
    bytes.extend(contents);
    bytes.extend(writer.end());
    bytes.extend(writer.finish());
    bytes
}

#[test]
fn a_backup_with_impossible_lengths_is_refused_and_writes_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let (file, target) = (folder.path().join("backup.tar"), folder.path().join("new"));
    let restore = || run_command(&["restore", file.to_str().unwrap(), target.to_str().unwrap()]);
    fs::write(&file, archive_of("log/00000001.seg", b"short", Some(4096))).unwrap();
    assert!(!stderr(&restore()).contains("incomplete or invalid backup"), "{}", stderr(&restore()));
    fs::remove_dir_all(&target).unwrap();
    for (name, padded, says) in [
        ("log/00000001.seg", 1 << 50, "limit of 2147483648"),
        ("log/00000001.seg", (2 << 30) + 1, "limit of 2147483648"),
        ("lease-key", 4096, "is not a segment"),
        ("addresses/journal", 4096, "is not a segment"),
    ] {
        fs::write(&file, archive_of(name, b"short", Some(padded))).unwrap();
        let output = restore();
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(name) && stderr(&output).contains(says), "{}", stderr(&output));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is made");
    }
}

#[test]
fn a_file_that_is_not_a_backup_is_refused_and_not_quoted() {
    let folder = tempfile::TempDir::new().unwrap();
    let (file, target) = (folder.path().join("passwords"), folder.path().join("new"));
    for (bytes, says) in [(2048, "it has an invalid header"), (100, "it ends early")] {
        fs::write(&file, &"secret\n".repeat(300).as_bytes()[..bytes]).unwrap();
        let output = run_command(&["restore", file.to_str().unwrap(), target.to_str().unwrap()]);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(says) && !stderr(&output).contains("secret"), "{}", stderr(&output));
    }
}

#[test]
fn a_backup_with_an_endless_file_is_refused_before_it_is_read() {
    let folder = tempfile::TempDir::new().unwrap();
    let (file, target) = (folder.path().join("backup.tar"), folder.path().join("new"));
    for (name, kind, says) in [
        ("restante.json", tar::EntryType::Regular, "limit of 65536"),
        ("log/00000001.seg", tar::EntryType::Regular, "limit of 2147483648"),
        ("addresses/journal", tar::EntryType::Regular, "limit of 17179869184"),
        // Long names and extensions, which are entries of their own.
        ("././@LongLink", tar::EntryType::GNULongName, "does not belong in a backup"),
        ("PaxHeaders/x", tar::EntryType::XHeader, "does not belong in a backup"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(kind);
        header.set_size(1 << 40);
        header.set_cksum();
        fs::write(&file, header.as_bytes()).unwrap();
        // The file has the declared length, and holes instead of content.
        fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
        let output = run_command(&["restore", file.to_str().unwrap(), target.to_str().unwrap()]);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains(says), "{name}: {}", stderr(&output));
        assert!(!target.exists());
    }
}
