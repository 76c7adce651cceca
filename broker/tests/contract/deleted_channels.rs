//! A channel that was deleted in each possible way, and its manifest or configuration returning in each possible way:
//! with the current address store, with an older one, and without any. No message of it returns, and a new channel can
//! be created.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode};
use restante_wire::{ChannelConfig, ProblemType};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    backup::{backed_up, restored},
    broker::{Broker, ORDERS, assert_problem, ended, header},
    lost_addresses::{copy_folder, last_change},
    maintenance::{bytes_of, on, status, stderr, stdout},
    operator::{control, operated, orders, put, sync},
};

/// Another channel, which exists all the time.
const OTHER: &str = "
apiVersion: restante.dev/v1alpha1
kind: MessageChannel
metadata: {name: other, namespace: acme}
spec: {access: {anonymous: true}}
";

/// The way in which a channel was deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deleted {
    Empty,
    ByForce,
    AsAnOrphan,
    /// The deletion is in the log, and a power cut kept it from the address store.
    CutShort,
}

const DELETED: [Deleted; 4] = [Deleted::Empty, Deleted::ByForce, Deleted::AsAnOrphan, Deleted::CutShort];

/// The content of `addresses` at the next start.
#[derive(Debug, Clone, Copy)]
enum Addresses {
    AsTheyAre,
    OfBefore,
    None,
}

const ADDRESSES: [Addresses; 3] = [Addresses::AsTheyAre, Addresses::OfBefore, Addresses::None];

/// The source of a broker's channels.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Programmed {
    ByManifests,
    ByAnOperator,
}

fn manifests(names: &[&str]) -> String {
    names.join("\n---\n")
}

/// A standalone broker, and one with an operator, on the same folder.
fn brokers() -> (Broker, Broker) {
    let standalone = Broker::prepared(&[]);
    let mut managed = standalone.on_same_folder();
    operated(&mut managed);
    let mut standalone = standalone;
    let path = standalone.manifests().display().to_string();
    standalone.add_flags(&["--manifests", &path]);
    (standalone, managed)
}

/// A data folder in which `acme/orders` was deleted, a copy from before, and a backup from before.
struct Folder {
    place: TempDir,
    uid: Uuid,
}

impl Folder {
    async fn with(deleted: Deleted, programmed: Programmed) -> Self {
        let (mut standalone, mut operated) = brokers();
        let place = TempDir::new().unwrap();
        if programmed == Programmed::ByManifests {
            standalone.write_manifests(&manifests(&[ORDERS, OTHER]));
            standalone.start();
            standalone.stop();
        }
        operated.start();
        if programmed == Programmed::ByAnOperator {
            let other = crate::operator::channel("other");
            assert_eq!(sync(&operated, &[orders(|_| {}), other]).await.status(), StatusCode::OK);
        }
        if deleted != Deleted::Empty {
            operated.pushed("acme/orders", "old").await;
        }
        operated.pushed("acme/other", "stays").await;
        let uid = Self::uid_of_orders(&mut operated);
        fs::rename(backed_up(&operated, "backup.tar"), place.path().join("backup.tar")).unwrap();
        if deleted == Deleted::AsAnOrphan {
            match programmed {
                Programmed::ByAnOperator => {
                    sync(&operated, &[crate::operator::channel("other")]).await;
                }
                Programmed::ByManifests => {
                    operated.stop();
                    standalone.write_manifests(OTHER);
                    standalone.start();
                    standalone.stop();
                    operated.start();
                }
            }
        }
        operated.stop();
        copy_folder(&operated.data_folder(), &place.path().join("before"));
        operated.start();
        let force = if deleted == Deleted::Empty { "" } else { "?force=true" };
        let path = format!("channels/{uid}{force}");
        let gone = control(&operated, Method::DELETE, &path, String::new()).await;
        assert_eq!(gone.status(), StatusCode::OK);
        operated.kill();
        if deleted == Deleted::CutShort {
            let journal = operated.data_folder().join("addresses/journal");
            let bytes = fs::read(&journal).unwrap();
            fs::write(&journal, &bytes[..last_change(&bytes)]).unwrap();
        }
        copy_folder(&operated.data_folder(), &place.path().join("after"));
        Self { place, uid }
    }

    /// Its UID; the broker is stopped for that moment.
    fn uid_of_orders(broker: &mut Broker) -> Uuid {
        broker.kill();
        let uid = orders_in(&broker.data_folder()).unwrap()["uid"].as_str().unwrap().parse().unwrap();
        broker.start();
        uid
    }

    /// Copies the folder to a broker's own, with these addresses.
    fn put_to(&self, broker: &Broker, addresses: Addresses) {
        copy_folder(&self.place.path().join("after"), &broker.data_folder());
        let at = broker.data_folder().join("addresses");
        match addresses {
            Addresses::AsTheyAre => return,
            Addresses::OfBefore | Addresses::None => fs::remove_dir_all(&at).unwrap(),
        }
        if let Addresses::OfBefore = addresses {
            copy_folder(&self.place.path().join("before/addresses"), &at);
        }
    }
}

/// The entry of `acme/orders` in the report of `check`.
fn orders_in(folder: &Path) -> Option<Value> {
    let report: Value = serde_json::from_slice(&on(folder, "check", &["--json"]).stdout).unwrap();
    report["channels"].as_array().unwrap().iter().find(|channel| channel["channel"] == "acme/orders").cloned()
}

/// Asserts that the channel is new and empty: it accepts a message and has no other.
async fn is_new_and_empty(broker: &Broker) {
    broker.pushed("acme/orders", "new").await;
    let first =
        broker.pull_with_ack_auto("acme/orders", "wait=0").send().await.unwrap().text().await.unwrap();
    let second = broker.pull("acme/orders", "wait=0").send().await.unwrap().status();
    assert_eq!((first.as_str(), second), ("new", StatusCode::NO_CONTENT));
}

/// Asserts that after a clean end the folder is sound, and the channel has another UID.
fn has_another_uid(broker: &mut Broker, before: Uuid) {
    broker.stop();
    let checked = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&checked), 0, "{}{}", stdout(&checked), stderr(&checked));
    let uid = orders_in(&broker.data_folder()).unwrap()["uid"].as_str().unwrap().to_owned();
    assert_ne!(uid, before.to_string());
}

#[tokio::test]
async fn standalone_the_manifest_of_a_deleted_channel_creates_a_new_and_empty_channel() {
    for deleted in DELETED {
        let folder = Folder::with(deleted, Programmed::ByManifests).await;
        for addresses in ADDRESSES {
            for by_sighup in [false, true] {
                eprintln!("deleted {deleted:?}, addresses {addresses:?}, by SIGHUP: {by_sighup}");
                let (mut broker, _) = brokers();
                folder.put_to(&broker, addresses);
                broker.write_manifests(&manifests(if by_sighup { &[OTHER] } else { &[ORDERS, OTHER] }));
                broker.start();
                if by_sighup {
                    let gone = broker.pull("acme/orders", "wait=0").send().await.unwrap();
                    let problem = assert_problem(gone, 404, ProblemType::AddressUnknown).await;
                    assert!(!problem.detail.contains("while the request waited"), "{problem:?}");
                    broker.write_manifests(&manifests(&[ORDERS, OTHER]));
                    broker.signal(Signal::HUP);
                    broker.wait_for_log("applied the manifests").unwrap();
                }
                is_new_and_empty(&broker).await;
                assert_eq!(broker.pulled("acme/other").await.0, b"stays");
                has_another_uid(&mut broker, folder.uid);
                // The new channel can be deleted in turn.
                broker.start();
                broker.pushed("acme/orders", "newer").await;
                broker.stop();
                assert_eq!(orders_in(&broker.data_folder()).unwrap()["ready"], 1);
            }
        }
    }
}

#[tokio::test]
async fn under_an_operator_a_deleted_uid_never_returns_and_another_uid_creates_a_new_channel() {
    for deleted in DELETED {
        let folder = Folder::with(deleted, Programmed::ByAnOperator).await;
        for addresses in ADDRESSES {
            eprintln!("deleted {deleted:?}, addresses {addresses:?}");
            let (_, mut broker) = brokers();
            folder.put_to(&broker, addresses);
            broker.start();
            let other = crate::operator::channel("other");
            let dead = [orders(|_| {}), other.clone()];
            assert_problem(sync(&broker, &dead).await, 410, ProblemType::ChannelDeleted).await;
            assert_problem(put(&broker, &dead[0]).await, 410, ProblemType::ChannelDeleted).await;
            let recreated: ChannelConfig = orders(|orders| orders.uid = Uuid::from_u128(77));
            assert_eq!(sync(&broker, &[recreated, other]).await.status(), StatusCode::OK);
            is_new_and_empty(&broker).await;
            assert_eq!(broker.pulled("acme/other").await.0, b"stays");
            has_another_uid(&mut broker, folder.uid);
        }
    }
}

#[tokio::test]
async fn a_backup_from_before_a_deletion_restores_the_channel_and_its_messages() {
    for programmed in [Programmed::ByManifests, Programmed::ByAnOperator] {
        let folder = Folder::with(Deleted::ByForce, programmed).await;
        let (mut standalone, mut operated) = brokers();
        let restored = restored(&folder.place.path().join("backup.tar"), "restored");
        copy_folder(&restored, &standalone.data_folder());
        let broker = match programmed {
            Programmed::ByManifests => {
                standalone.write_manifests(&manifests(&[ORDERS, OTHER]));
                standalone.start();
                &standalone
            }
            Programmed::ByAnOperator => {
                operated.start();
                let set = [orders(|_| {}), crate::operator::channel("other")];
                assert_eq!(sync(&operated, &set).await.status(), StatusCode::OK);
                &operated
            }
        };
        assert_eq!(broker.pulled("acme/orders").await.0, b"old", "{programmed:?}");
    }
}

#[tokio::test]
async fn a_deletion_that_is_only_in_the_log_is_reported_by_check_and_completed_by_a_start() {
    for programmed in [Programmed::ByManifests, Programmed::ByAnOperator] {
        let folder = Folder::with(Deleted::CutShort, programmed).await;
        let (_, mut broker) = brokers();
        folder.put_to(&broker, Addresses::AsTheyAre);
        let before = bytes_of(&broker.data_folder());
        let checked = on(&broker.data_folder(), "check", &[]);
        let report = stdout(&checked);
        assert_eq!(status(&checked), 0, "{report}");
        let note = format!("the log records that acme/orders ({}) was deleted", folder.uid);
        assert!(report.contains(&note) && report.contains("1 channel, 0 orphans"), "{report}");
        assert_eq!(orders_in(&broker.data_folder()), None);
        assert_eq!(bytes_of(&broker.data_folder()), before);
        broker.start();
        let gone = broker.pull("acme/orders", "wait=0").send().await.unwrap();
        assert_problem(gone, 404, ProblemType::AddressUnknown).await;
        broker.stop();
        assert!(!stdout(&on(&broker.data_folder(), "check", &[])).contains("acme/orders"));
    }
}

#[tokio::test]
async fn a_channel_that_is_deleted_repeatedly_is_created_with_a_new_uid_each_time() {
    let (mut standalone, mut operated) = brokers();
    standalone.write_manifests(ORDERS);
    let mut uids = Vec::new();
    for _ in 0..3 {
        standalone.start();
        is_new_and_empty(&standalone).await;
        standalone.pushed("acme/orders", "to be deleted").await;
        standalone.stop();
        let uid = orders_in(&standalone.data_folder()).unwrap()["uid"].as_str().unwrap().to_owned();
        operated.start();
        let path = format!("channels/{uid}?force=true");
        assert_eq!(control(&operated, Method::DELETE, &path, String::new()).await.status(), StatusCode::OK);
        operated.stop();
        uids.push(uid);
    }
    uids.dedup();
    assert_eq!(uids.len(), 3);
    // A channel whose address is lost is known by its records.
    standalone.start();
    standalone.pushed("acme/orders", "kept").await;
    standalone.stop();
    fs::remove_dir_all(standalone.data_folder().join("addresses")).unwrap();
    standalone.start();
    assert_eq!(standalone.pulled("acme/orders").await.0, b"kept");
}

#[tokio::test]
async fn the_durability_of_a_channel_can_change_only_if_it_is_deleted_and_created_again() {
    let (mut standalone, mut operated) = brokers();
    standalone.write_manifests(ORDERS);
    standalone.start();
    standalone.pushed("acme/orders", "on disk").await;
    standalone.stop();
    standalone.write_manifests(&ORDERS.replace("spec:", "spec:\n  durability: Memory"));
    let refused = ended(&mut standalone.command());
    assert_eq!(status(&refused), 78);
    assert!(stderr(&refused).contains("delete the channel with its messages and create it again"));
    let uid = orders_in(&standalone.data_folder()).unwrap()["uid"].as_str().unwrap().to_owned();
    operated.start();
    let path = format!("channels/{uid}?force=true");
    let gone = control(&operated, Method::DELETE, &path, String::new()).await;
    assert_eq!(gone.status(), StatusCode::OK);
    operated.stop();
    standalone.start();
    is_new_and_empty(&standalone).await;
}

/// The data folder of a broker whose `acme/orders` was deleted and created again, and whose log has lost the deletion;
/// its address store is from before that. Returns its UID then and now.
async fn recreated_with_older_addresses(cores: &str, deleted: usize) -> (Broker, Uuid, Uuid) {
    let (mut standalone, mut operated) = brokers();
    standalone.add_flags(&["--cores", cores]);
    operated.add_flags(&["--cores", cores]);
    let traffic = OTHER.replace("other", "traffic");
    standalone.write_manifests(&manifests(&[ORDERS, OTHER, &traffic]));
    standalone.start();
    standalone.pushed("acme/orders", "old").await;
    standalone.pushed("acme/other", "stays").await;
    standalone.stop();
    let before = uid_in(&standalone.data_folder());
    let monday = TempDir::new().unwrap();
    copy_folder(&standalone.data_folder().join("addresses"), &monday.path().join("addresses"));
    for _ in 0..deleted {
        let uid = uid_in(&standalone.data_folder());
        operated.start();
        let path = format!("channels/{uid}?force=true");
        assert_eq!(control(&operated, Method::DELETE, &path, String::new()).await.status(), StatusCode::OK);
        operated.stop();
        standalone.start();
        standalone.stop();
    }
    standalone.start();
    assert_eq!(push_new(&standalone).await.status(), StatusCode::CREATED);
    standalone.stop();
    // Other traffic, so that parts of the log are reclaimed.
    for _ in 0..20 {
        standalone.start();
        for _ in 0..3 {
            standalone.pushed("acme/traffic", vec![b'x'; 1 << 20]).await;
            standalone.pulled("acme/traffic").await;
        }
        standalone.stop();
        if !remembers_a_deletion(&standalone.data_folder()) {
            break;
        }
    }
    assert!(!remembers_a_deletion(&standalone.data_folder()));
    let now = uid_in(&standalone.data_folder());
    standalone.write_manifests(&manifests(&[ORDERS, OTHER]));
    let addresses = standalone.data_folder().join("addresses");
    fs::remove_dir_all(&addresses).unwrap();
    copy_folder(&monday.path().join("addresses"), &addresses);
    (standalone, before, now)
}

fn remembers_a_deletion(folder: &Path) -> bool {
    stdout(&on(folder, "dump", &["--records"])).contains("channel closed")
}

fn uid_in(folder: &Path) -> Uuid {
    orders_in(folder).unwrap()["uid"].as_str().unwrap().parse().unwrap()
}

async fn push_new(broker: &Broker) -> reqwest::Response {
    broker.push("acme/orders", "new".to_owned()).header("idempotency-key", "k").send().await.unwrap()
}

/// Asserts that the current channel has its message and its key.
async fn keeps_its_message_and_key(broker: &mut Broker, now: Uuid) {
    assert_eq!(header(&push_new(broker).await, "idempotency-replayed"), "true");
    assert_eq!(broker.pulled("acme/orders").await.0, b"new");
    assert_eq!(broker.pulled("acme/other").await.0, b"stays");
    broker.stop();
    let checked = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&checked), 0, "{}", stdout(&checked));
    assert!(stdout(&checked).contains("2 channels, 1 orphan"), "{}", stdout(&checked));
    assert_eq!(uid_in(&broker.data_folder()), now);
}

#[tokio::test]
async fn a_recreated_channel_keeps_its_uid_when_an_older_address_store_is_restored() {
    for (cores, deleted) in [("1", 1), ("2", 1), ("1", 2)] {
        eprintln!("{cores} cores, deleted {deleted} times");
        let (mut broker, before, now) = recreated_with_older_addresses(cores, deleted).await;
        assert_ne!(before, now);
        let checked = on(&broker.data_folder(), "check", &[]);
        let note = format!("the log records that acme/orders ({before}) was deleted");
        assert!(stdout(&checked).contains(&note), "{}", stdout(&checked));
        assert_eq!(uid_in(&broker.data_folder()), now);
        broker.start();
        keeps_its_message_and_key(&mut broker, now).await;
    }
}

#[tokio::test]
async fn a_recreated_channel_returns_with_its_manifest_when_an_older_address_store_is_restored() {
    let (mut broker, _, now) = recreated_with_older_addresses("1", 1).await;
    broker.write_manifests(OTHER);
    broker.start();
    let gone = broker.pull("acme/orders", "wait=0").send().await.unwrap();
    assert_problem(gone, 404, ProblemType::AddressUnknown).await;
    broker.write_manifests(&manifests(&[ORDERS, OTHER]));
    broker.signal(Signal::HUP);
    broker.wait_for_log("applied the manifests").unwrap();
    keeps_its_message_and_key(&mut broker, now).await;
}
