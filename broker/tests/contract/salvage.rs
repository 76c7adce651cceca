//! Salvage of a damaged folder: readable data is copied, and losses are reported.

use std::{collections::BTreeSet, fs, path::Path};

use proptest::{
    prelude::{Strategy, any, prop},
    test_runner::{Config, TestRunner},
};
use reqwest::Method;
use serde_json::Value;

use crate::{
    broker::Broker,
    maintenance::{bytes_of, dumped, killed_with_messages, on, run_command, status, stderr, stdout},
    operator::{channel, with_channels_and_flags},
};

/// Salvages a folder to a new one next to it, which must succeed. Returns the output.
fn salvaged(broker: &Broker, to: &str) -> String {
    let target = broker.folder.path().join(to);
    let output = on(&broker.data_folder(), "salvage", &[target.to_str().unwrap()]);
    assert!(status(&output) < 2, "{}", stderr(&output));
    stdout(&output).to_owned()
}

#[tokio::test]
async fn a_salvaged_folder_has_every_readable_message_and_the_damaged_folder_is_unchanged() {
    let mut broker = killed_with_messages().await;
    let (file, place) = broker.segment_with(b"meta-number4");
    let segment = broker.data_folder().join(&file);
    let mut bytes = fs::read(&segment).unwrap();
    // In the head of its record: damage in a body alone would lose only that message.
    bytes[place - 40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let before = bytes_of(&broker.data_folder());
    let (folder, damaged) = (broker.data_folder(), broker.folder.path().join("damaged"));
    let flags = [folder.to_str().unwrap(), "--move-old-to", damaged.to_str().unwrap()];
    let output = on(&folder, "salvage", &flags);
    let printed = stdout(&output);
    assert_eq!(status(&output), 1, "{printed}{}", stderr(&output));
    assert!(printed.contains("5 messages are in") && printed.contains("left behind"), "{printed}");
    assert!(printed.contains(&format!("{file}, bytes")) && printed.contains("delivered again"), "{printed}");
    assert_eq!(bytes_of(&damaged), before);
    assert_eq!(bytes_of(&folder)["lease-key"], before["lease-key"], "leases that are out can be settled");
    assert_eq!(status(&on(&folder, "check", &[])), 0);
    assert!(stderr(&on(&damaged, "salvage", &flags)).contains("already exists"));
    broker.start();
    for content in ["2", "6"] {
        assert_eq!(broker.pulled("acme/orders").await.0, content.as_bytes());
    }
}

#[tokio::test]
async fn a_message_whose_settle_is_damaged_is_delivered_again() {
    let mut broker = with_channels_and_flags(&[channel("orders")], &["--segment-size", "1MiB"]).await;
    broker.pushed("acme/orders", "settled and lost").await;
    let (_, lease) = broker.pulled("acme/orders").await;
    broker.request(Method::DELETE, &lease).send().await.unwrap();
    broker.pushed("acme/orders", "after").await;
    broker.pushed("acme/orders", "later").await;
    broker.kill();
    let records = dumped(&broker.data_folder(), &["--records"]);
    let settle = records.iter().find(|record| record["kind"] == "removed").unwrap();
    let segment = broker.data_folder().join(settle["file"].as_str().unwrap());
    let mut bytes = fs::read(&segment).unwrap();
    bytes[settle["offset"].as_u64().unwrap() as usize] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    let printed = salvaged(&broker, "salvaged");
    assert!(
        printed.contains("Messages whose settle was in a damaged range are delivered again"),
        "{printed}"
    );
    let contents: Vec<_> = dumped(&broker.folder.path().join("salvaged"), &[]);
    let contents: Vec<_> = contents.iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(contents, ["settled and lost", "after", "later"]);
}

/// A folder whose log has several segments, with one message per frame: the number is its body.
async fn several_segments() -> Broker {
    let mut broker = with_channels_and_flags(&[channel("orders")], &["--segment-size", "1MiB"]).await;
    for number in 0..60_u64 {
        let content = format!("{number} {}", "x".repeat(40 << 10));
        broker.push("acme/orders", content).header("idempotency-key", number).send().await.unwrap();
    }
    broker.kill();
    broker
}

/// The numbers of messages, each with the file and the byte range of its record.
fn places(broker: &Broker) -> Vec<(String, std::ops::Range<usize>, u64)> {
    let records = dumped(&broker.data_folder(), &["--records"]);
    let pushes = records.iter().filter(|record| record["kind"] == "message");
    let place = |(number, record): (usize, &Value)| {
        let from = record["offset"].as_u64().unwrap() as usize;
        // The frame's head comes before it.
        (record["file"].as_str().unwrap().to_owned(), from - 32..from + (40 << 10) + 300, number as u64)
    };
    pushes.enumerate().map(place).collect()
}

fn numbers(folder: &Path) -> BTreeSet<u64> {
    let number =
        |message: &Value| message["content"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    dumped(folder, &[]).iter().map(number).collect()
}

#[tokio::test]
async fn any_damaged_range_is_reported_and_nothing_outside_of_it_is_lost() {
    let broker = several_segments().await;
    let (places, whole) = (places(&broker), bytes_of(&broker.data_folder()));
    let last = places.len() as u64 - 1;
    let names: Vec<String> = whole.keys().filter(|name| name.ends_with(".seg")).cloned().collect();
    let used: Vec<String> =
        names.into_iter().filter(|name| places.iter().any(|(file, ..)| file == name)).collect();
    assert!(used.len() > 2, "{used:?}");
    let lengths = prop::sample::select(vec![1, 8, 100, 5000, 200_000]);
    let damage = (prop::sample::select(used), 0..1_usize << 20, lengths, any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&damage.no_shrink(), |(name, from, length, zeroed)| {
        let path = broker.data_folder().join(&name);
        let mut bytes = whole[&name].clone();
        let range = from..(from + length).min(bytes.len());
        bytes[range.clone()].iter_mut().for_each(|byte| *byte = if zeroed { 0 } else { !*byte });
        fs::write(&path, &bytes).unwrap();
        let report: Value =
            serde_json::from_slice(&on(&broker.data_folder(), "check", &["--json"]).stdout).unwrap();
        let hit: BTreeSet<u64> = places
            .iter()
            .filter(|(file, place, _)| *file == name && place.start < range.end && range.start < place.end)
            .map(|(.., number)| *number)
            .collect();
        let target = broker.folder.path().join("salvaged");
        salvaged(&broker, "salvaged");
        let saved = numbers(&target);
        let missing: BTreeSet<u64> =
            places.iter().map(|(.., number)| *number).filter(|n| !saved.contains(n)).collect();
        assert!(missing.is_subset(&hit), "{name} {range:?}: {missing:?} lost, {hit:?} hit");
        let named = report["damage"].as_array().unwrap().iter().any(|damage| {
            let [from, to] = ["from", "to"].map(|end| damage[end].as_u64().unwrap() as usize);
            damage["file"] == name.as_str() && from < range.end && range.start < to
        });
        // Without later records, nothing shows that there was more.
        let knows =
            (0..=last).any(|number| missing.iter().any(|lost| *lost < number) && !missing.contains(&number));
        assert!(named || !knows, "{name} {range:?}: {missing:?} lost, and reported: {}", report["damage"]);
        fs::write(&path, &whole[&name]).unwrap();
        fs::remove_dir_all(target).unwrap();
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(bytes_of(&broker.data_folder()), whole);
}

#[tokio::test]
async fn the_frames_of_a_segment_without_its_head_are_salvaged() {
    let broker = several_segments().await;
    let places = places(&broker);
    let used: BTreeSet<&String> = places.iter().map(|(file, ..)| file).collect();
    for name in used {
        let path = broker.data_folder().join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let printed = salvaged(&broker, "salvaged");
        assert!(
            printed.contains("the head of a segment is unreadable; its frames are readable"),
            "{printed}"
        );
        let target = broker.folder.path().join("salvaged");
        assert_eq!(numbers(&target).len(), 60, "{name}");
        fs::remove_dir_all(target).unwrap();
        fs::write(&path, whole).unwrap();
    }
}

#[tokio::test]
async fn the_readable_part_of_a_damaged_address_store_is_salvaged_and_no_message_is_lost() {
    let mut broker = with_channels_and_flags(&[channel("one")], &["--segment-size", "1MiB"]).await;
    for name in ["two", "three"] {
        crate::operator::put(&broker, &channel(name)).await;
    }
    for name in ["one", "two", "three"] {
        broker.pushed(&format!("acme/{name}"), name).await;
    }
    broker.kill();
    let journal = broker.data_folder().join("addresses/journal");
    let mut bytes = fs::read(&journal).unwrap();
    let place = bytes.windows(10).position(|window| window == b"\"acme/two\"").unwrap();
    bytes[place + 3] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let report: Value =
        serde_json::from_slice(&on(&broker.data_folder(), "check", &["--json"]).stdout).unwrap();
    let damage = &report["damage"][0];
    assert_eq!(damage["file"], "addresses/journal");
    let [from, to] = ["from", "to"].map(|end| damage[end].as_u64().unwrap() as usize);
    assert!((from..to).contains(&place), "{damage}");
    salvaged(&broker, "salvaged");
    let messages = dumped(&broker.folder.path().join("salvaged"), &[]);
    let of = |message: &Value| {
        [&message["channel"], &message["content"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let all: Vec<_> = messages.iter().map(of).collect();
    assert_eq!(all, [["acme/one", "one"], ["acme/three", "three"], ["acme/two", "two"]]);
}

#[tokio::test]
async fn a_missing_or_duplicate_file_is_reported() {
    let broker = several_segments().await;
    let report = on(&broker.data_folder(), "check", &["--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let segments = report["log"]["segments"].as_array().unwrap().iter();
    let files: Vec<_> = segments.map(|segment| Path::new(segment["file"].as_str().unwrap())).collect();
    // A file with others before and after it in its log.
    let between = files.windows(3).find(|files| files[0].parent() == files[2].parent()).unwrap()[1];
    let second = broker.data_folder().join(between);
    let damage = || {
        let report = on(&broker.data_folder(), "check", &["--json"]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        report["damage"].to_string()
    };
    let log = second.parent().unwrap();
    fs::copy(&second, log.join("00000099.seg")).unwrap();
    assert!(damage().contains("the same segment"), "{}", damage());
    fs::remove_file(log.join("00000099.seg")).unwrap();
    fs::rename(&second, broker.folder.path().join("away")).unwrap();
    assert!(damage().contains("is missing"), "{}", damage());
    fs::rename(broker.folder.path().join("away"), &second).unwrap();
    fs::write(broker.data_folder().join("restante.json"), "garbage").unwrap();
    assert!(damage().contains("the JSON has invalid syntax at line 1"), "{}", damage());
    assert!(!damage().contains("it is not a log of this data folder"), "{}", damage());
    fs::remove_file(broker.data_folder().join("restante.json")).unwrap();
    assert!(damage().contains("restante.json"), "{}", damage());
    assert!(!damage().contains("it is not a log of this data folder"), "{}", damage());
    let target = broker.folder.path().join("new");
    let output = run_command(&["salvage", broker.data_folder().to_str().unwrap(), target.to_str().unwrap()]);
    assert_eq!((status(&output), numbers(&target).len()), (1, 60));
}

#[tokio::test]
async fn salvage_mentions_settles_only_if_some_may_be_lost() {
    let broker = killed_with_messages().await;
    fs::write(broker.data_folder().join("lease-key"), "short").unwrap();
    let printed = salvaged(&broker, "salvaged");
    assert!(printed.contains("left behind") && printed.contains("lease-key"), "{printed}");
    assert!(!printed.contains("settle was in"), "{printed}");
}

#[tokio::test]
async fn a_folder_without_a_lease_key_is_salvaged_with_a_new_one() {
    let broker = killed_with_messages().await;
    fs::remove_file(broker.data_folder().join("lease-key")).unwrap();
    salvaged(&broker, "salvaged");
    let key = fs::read(broker.folder.path().join("salvaged/lease-key")).unwrap();
    assert_eq!(key.len(), 32);
}

#[tokio::test]
async fn a_foreign_folder_with_the_name_of_an_unfinished_one_is_unchanged() {
    let broker = killed_with_messages().await;
    let stranger = broker.folder.path().join("new.unfinished");
    fs::create_dir(&stranger).unwrap();
    fs::write(stranger.join("thesis.tex"), "years of work").unwrap();
    let new = broker.folder.path().join("new");
    let output = on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()]);
    assert_eq!(fs::read(stranger.join("thesis.tex")).unwrap(), b"years of work");
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("new.unfinished already exists"), "{}", stderr(&output));
}

/// The mark of a folder that an attempt has created.
const MARK: &str =
    "restante-broker is making this data folder. If it is not, the folder is not whole and may be removed.\n";

#[tokio::test]
async fn a_foreign_folder_with_a_file_of_the_marks_name_is_unchanged() {
    let broker = killed_with_messages().await;
    let stranger = broker.folder.path().join("new.unfinished");
    fs::create_dir(&stranger).unwrap();
    for (name, text) in [("unfinished", ""), ("thesis.tex", "years of work")] {
        fs::write(stranger.join(name), text).unwrap();
    }
    let new = broker.folder.path().join("new");
    let output = on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()]);
    assert_eq!(status(&output), 2);
    assert_eq!(fs::read(stranger.join("thesis.tex")).unwrap(), b"years of work");
}

#[tokio::test]
async fn an_unfinished_folder_that_a_broker_was_started_on_is_unchanged() {
    let broker = killed_with_messages().await;
    let left = broker.folder.path().join("new.unfinished");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("unfinished"), MARK).unwrap();
    fs::write(left.join("lock"), "4711\n").unwrap();
    let new = broker.folder.path().join("new");
    let output = on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()]);
    assert_eq!((status(&output), left.join("lock").exists()), (2, true));
}

#[tokio::test]
async fn the_unfinished_folder_of_an_earlier_attempt_is_removed() {
    let broker = killed_with_messages().await;
    let (new, left) = (broker.folder.path().join("new"), broker.folder.path().join("new.unfinished"));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("restante.json"), "").unwrap();
    fs::write(left.join("unfinished"), MARK).unwrap();
    let output = on(&broker.data_folder(), "salvage", &[new.to_str().unwrap()]);
    assert_eq!((status(&output), left.exists()), (0, false), "{}", stderr(&output));
    assert!(!new.join("unfinished").exists());
}

#[tokio::test]
async fn a_damaged_folder_with_the_name_of_an_unfinished_one_is_unchanged() {
    let broker = killed_with_messages().await;
    let before = bytes_of(&broker.data_folder());
    let damaged = broker.folder.path().join("new.unfinished");
    fs::rename(broker.data_folder(), &damaged).unwrap();
    let output = on(&damaged, "salvage", &[broker.folder.path().join("new").to_str().unwrap()]);
    assert_eq!(bytes_of(&damaged), before);
    assert_eq!(status(&output), 2, "{}", stderr(&output));
}

#[tokio::test]
async fn a_folder_is_not_salvaged_into_itself() {
    let broker = killed_with_messages().await;
    let before = bytes_of(&broker.data_folder());
    for inner in ["new", "log/new", "not/there/new"] {
        let inner = broker.data_folder().join(inner);
        let output = on(&broker.data_folder(), "salvage", &[inner.to_str().unwrap()]);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains("which must not change"), "{}", stderr(&output));
        assert_eq!(bytes_of(&broker.data_folder()), before);
    }
}

#[tokio::test]
async fn a_folder_does_not_move_into_itself() {
    let broker = killed_with_messages().await;
    let before = bytes_of(&broker.data_folder());
    let (folder, inner) = (broker.data_folder(), broker.data_folder().join("old"));
    let flags = [folder.to_str().unwrap(), "--move-old-to", inner.to_str().unwrap()];
    let output = on(&folder, "salvage", &flags);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("which must not change"), "{}", stderr(&output));
    assert_eq!(bytes_of(&folder), before);
}
