//! A message whose bytes on disk changed, through the real binary: the answers to its sender and its receivers, and the
//! reports to the administrator.

use std::{fs, time::Instant};

use reqwest::{Method, StatusCode};
use restante_wire::batch::PeekedBatch;
use serde_json::Value;

use crate::{
    broker::{Broker, DEADLINE, header},
    maintenance::{dumped, on, status, stderr, stdout},
    operator::{channel, with_channels_and_flags},
};

const MESSAGES: u64 = 64;
/// The damaged message, in the first segment.
const BAD: u64 = 3;

const DEAD: &str = "restante_channel_messages{namespace=\"acme\",channel=\"orders\",state=\"dead\"}";

/// The position of a byte of a message, from the offset of its body.
type Place = fn(usize) -> usize;

/// The damaged part of a message, from the offset of its body.
const DAMAGE: [(&str, Place); 2] = [("content", |at| at + 20_000), ("head", |at| at - 20)];

/// A broker that was stopped; its first segment has an index. Also the position of one of its messages, and its id.
struct Stored {
    broker: Broker,
    ids: Vec<String>,
    file: String,
    at: usize,
}

async fn stored() -> Stored {
    let mut orders = channel("orders");
    orders.deduplication_window_seconds = 600;
    let mut broker = with_channels_and_flags(&[orders], &["--segment-size", "1MiB"]).await;
    let mut ids = Vec::new();
    for number in 0..MESSAGES {
        let pushed = push(&broker, number).await;
        assert_eq!(pushed.status(), StatusCode::CREATED);
        ids.push(header(&pushed, "message-id"));
    }
    let (file, at) = broker.segment_with(&content(BAD).as_bytes()[..20]);
    let index = broker.data_folder().join(file.replace(".seg", ".idx"));
    let deadline = Instant::now() + DEADLINE;
    while !index.exists() {
        assert!(Instant::now() < deadline, "{} was not written", index.display());
        tokio::task::yield_now().await;
    }
    assert!(broker.stop().success());
    Stored { broker, ids, file, at }
}

fn content(number: u64) -> String {
    format!("message number {number:04} {}", "x".repeat(40_000))
}

async fn push(broker: &Broker, number: u64) -> reqwest::Response {
    let push = broker.push("acme/orders", content(number)).header("idempotency-key", number);
    push.send().await.unwrap()
}

impl Stored {
    fn damage(&self, place: impl Fn(usize) -> usize) {
        let path = self.broker.data_folder().join(&self.file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[place(self.at)] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_repeat_of_the_push_of_an_unreadable_message_gets_the_first_answer() {
    for (what, place) in DAMAGE {
        let mut stored = stored().await;
        stored.damage(place);
        stored.broker.start();
        for _ in 0..40 {
            let again = push(&stored.broker, BAD).await;
            assert_eq!(again.status(), StatusCode::CREATED, "{what}: {}", again.text().await.unwrap());
            let replayed = header(&again, "idempotency-replayed");
            let id = header(&again, "message-id");
            assert_eq!((id, replayed.as_str()), (stored.ids[BAD as usize].clone(), "true"), "{what}");
        }
        assert_eq!(stored.broker.metric("restante_messages_unreadable_total").await, 0.0, "{what}");
    }
}

#[tokio::test]
async fn an_unreadable_message_is_reported_once_with_id_and_place_and_others_are_delivered() {
    for (what, place) in DAMAGE {
        let Stored { mut broker, ids, file, at } = {
            let stored = stored().await;
            stored.damage(place);
            stored
        };
        broker.start();
        for number in (0..MESSAGES).filter(|number| *number != BAD) {
            let (body, lease) = broker.pulled("acme/orders").await;
            assert!(body == content(number).as_bytes(), "{what}: not {number}");
            broker.request(Method::DELETE, &lease).send().await.unwrap();
        }
        for state in ["dead", "dead-letters"].into_iter().cycle().take(40) {
            let path = format!("/v1/peek/acme/orders?state={state}");
            let found: PeekedBatch =
                broker.request(Method::GET, &path).send().await.unwrap().json().await.unwrap();
            let [item] = &found.messages[..] else { panic!("{what}: {found:?}") };
            assert_eq!(item.id, ids[BAD as usize], "{what}");
            let reason = item.dead_letter.as_ref().unwrap().reason.clone().unwrap();
            for text in [&reason, item.unreadable.as_ref().unwrap()] {
                let offset =
                    text.split(" at offset ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
                let offset: usize = offset.parse().unwrap();
                assert!(text.contains(&file) && offset < at && at - offset < 300, "{what}: {text}");
            }
        }
        assert_eq!(broker.metric("restante_messages_unreadable_total").await, 1.0, "{what}");
        assert_eq!(broker.metric(DEAD).await, 1.0, "{what}");
        broker.signal(rustix::process::Signal::TERM);
        let warning = broker.wait_for_log("a message is unreadable").unwrap();
        assert!(warning.contains(&ids[BAD as usize]) && warning.contains(&file), "{what}: {warning}");
        assert_eq!(broker.wait_for_log("a message is unreadable"), None, "{what}");
    }
}

#[tokio::test]
async fn check_and_dump_report_an_unreadable_message_and_salvage_copies_all_others() {
    for is_dead in [false, true] {
        for (what, place) in DAMAGE {
            let stored = stored().await;
            stored.damage(place);
            let Stored { mut broker, ids, file, .. } = stored;
            if is_dead {
                broker.start();
                for _ in 0..BAD {
                    broker.pulled("acme/orders").await;
                }
                broker.pulled("acme/orders").await;
                assert!(broker.stop().success());
            }
            let what = format!("{what}, dead: {is_dead}");
            let output = on(&broker.data_folder(), "check", &["--json"]);
            assert_eq!(status(&output), 1, "{what}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let held = &report["channels"][0];
            let [ready, leased, dead, unreadable] =
                ["ready", "leased", "dead", "unreadable"].map(|count| held[count].as_u64().unwrap());
            assert_eq!((ready + leased + dead, unreadable), (MESSAGES, 1), "{what}: {held}");
            assert_eq!(dead, u64::from(is_dead), "{what}");
            let [damage] = &report["damage"].as_array().unwrap()[..] else { panic!("{what}: {report}") };
            let means = damage["means"].as_str().unwrap();
            let id = &ids[BAD as usize];
            assert!(means.contains(id.as_str()) && means.contains("acme/orders"), "{what}: {means}");
            assert!(!means.contains("delivered again"), "{what}: {means}");
            assert_eq!(
                (damage["file"].as_str(), damage.get("frames")),
                (Some(file.as_str()), None),
                "{what}"
            );
            let text = on(&broker.data_folder(), "check", &[]);
            let prints = |part: &str| stdout(&text).contains(part);
            assert!(!prints("savable") && !prints("keep a copy"), "{what}: {}", stdout(&text));
            assert!(
                prints("dead-letters redrive") && prints("dead-letters purge"),
                "{what}: {}",
                stdout(&text)
            );

            let messages = dumped(&broker.data_folder(), &[]);
            assert_eq!(messages.len() as u64, MESSAGES, "{what}");
            let unread: Vec<_> =
                messages.iter().filter(|message| message.get("unreadable").is_some()).collect();
            let [unread] = unread[..] else { panic!("{what}: {unread:?}") };
            assert_eq!(unread["id"], id.as_str(), "{what}");
            assert!(unread["unreadable"].as_str().unwrap().contains(&file), "{what}: {unread}");
            assert_eq!((unread.get("content"), unread.get("content64")), (None, None), "{what}");
            assert_eq!(unread["state"], if is_dead { "dead" } else { "ready" }, "{what}");

            let new = broker.folder.path().join("salvaged");
            let output = on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()]);
            assert_eq!(status(&output), 1, "{what}: {}", stderr(&output));
            assert!(!stdout(&output).contains("settle was in"), "{what}: {}", stdout(&output));
            assert!(stdout(&output).contains("63 messages are in"), "{what}: {}", stdout(&output));
            assert!(stdout(&output).contains(id.as_str()), "{what}: {}", stdout(&output));
            assert_eq!(status(&on(&new, "check", &[])), 0, "{what}");
            // Its key is salvaged as well.
            fs::rename(broker.data_folder(), broker.folder.path().join("before")).unwrap();
            fs::rename(&new, broker.data_folder()).unwrap();
            broker.start();
            let again = push(&broker, BAD).await;
            assert_eq!(header(&again, "message-id"), *id, "{what}");
        }
    }
}

#[tokio::test]
async fn a_start_that_scans_a_segment_reports_its_unreadable_message_and_continues() {
    let mut stored = stored().await;
    stored.damage(DAMAGE[0].1);
    // As in a restored backup, which has no index.
    let index = stored.broker.data_folder().join(stored.file.replace(".seg", ".idx"));
    fs::remove_file(index).unwrap();
    stored.broker.start_and_wait_for_log(&[&stored.file]);
    for _ in (0..MESSAGES).filter(|number| *number != BAD) {
        stored.broker.pulled("acme/orders").await;
    }
}

#[tokio::test]
async fn a_start_that_recreates_an_index_reports_its_unreadable_message_once() {
    let stored = stored().await;
    stored.damage(DAMAGE[0].1);
    let index = stored.broker.data_folder().join(stored.file.replace(".seg", ".idx"));
    fs::remove_file(&index).unwrap();
    let log = stored.broker.folder.path().join("log.txt");
    let mut child = stored.broker.command().stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !index.exists() || !fs::read_to_string(&log).unwrap().contains("the broker is ready") {
        assert!(Instant::now() < deadline, "{} was not written", index.display());
        tokio::task::yield_now().await;
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let printed = fs::read_to_string(log).unwrap();
    assert_eq!(printed.matches("messages here are unreadable").count(), 1, "{printed}");
}
