//! Maintenance commands of the real binary: a folder is checked, dumped and salvaged, and is unchanged afterwards.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use reqwest::Method;
use serde_json::Value;

use crate::broker::{Broker, ORDERS};

/// Runs a command of the broker's binary.
pub(crate) fn run_command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_restante-broker")).args(arguments).output().unwrap()
}

/// Runs a command on a folder.
pub(crate) fn on(folder: &Path, command: &str, flags: &[&str]) -> Output {
    let folder = folder.to_str().unwrap();
    run_command(&[&[command, folder], flags].concat())
}

pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The messages in a dump.
pub(crate) fn dumped(folder: &Path, flags: &[&str]) -> Vec<Value> {
    let output = on(folder, "dump", flags);
    assert!(status(&output) < 2, "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file of a folder, byte by byte.
pub(crate) fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let inner = bytes_of(&entry.path());
            files.extend(inner.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// A data folder whose broker was killed, with messages 0 to 9: the odd ones are settled, one is leased and one is
/// dead.
pub(crate) async fn killed_with_messages() -> Broker {
    let mut broker = Broker::serving(ORDERS);
    for number in 0..10 {
        broker.push("acme/orders", number.to_string()).header("meta-number", number).send().await.unwrap();
    }
    let mut kept = Vec::new();
    for number in 0..10 {
        let (_, lease) = broker.pulled("acme/orders").await;
        if number % 2 == 1 {
            broker.request(Method::DELETE, &lease).send().await.unwrap();
        } else {
            kept.push(lease);
        }
    }
    for lease in &kept[..4] {
        broker.request(Method::POST, &format!("{lease}/release?delay=0")).send().await.unwrap();
    }
    let (_, dead) = broker.pulled("acme/orders").await;
    broker.request(Method::POST, &format!("{dead}/reject?reason=torn")).send().await.unwrap();
    // Its answer comes after all earlier records are written.
    broker.push("acme/orders", vec![0xff, 0xfe]).header("message-group", "g").send().await.unwrap();
    broker.kill();
    broker
}

#[tokio::test]
async fn check_reports_a_folder_without_changing_it() {
    let broker = killed_with_messages().await;
    let before = bytes_of(&broker.data_folder());
    let output = on(&broker.data_folder(), "check", &[]);
    assert_eq!(status(&output), 0, "{}{}", stdout(&output), stderr(&output));
    println!("{}", stdout(&output));
    let output = on(&broker.data_folder(), "check", &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["healthy"], true);
    let channel = &report["channels"][0];
    assert_eq!(channel["channel"], "acme/orders");
    let counts = ["ready", "leased", "dead"].map(|state| channel[state].as_u64().unwrap());
    assert_eq!(counts, [4, 1, 1], "{channel}");
    assert_eq!(report["log"]["records"]["message"], 11);
    assert_eq!(bytes_of(&broker.data_folder()), before);
}

#[tokio::test]
async fn a_dump_has_every_retained_message_with_its_state_headers_and_dead_letter_cause() {
    let broker = killed_with_messages().await;
    let before = bytes_of(&broker.data_folder());
    let messages = dumped(&broker.data_folder(), &[]);
    assert_eq!(bytes_of(&broker.data_folder()), before);
    let contents: Vec<_> = messages.iter().map(|message| message["content"].as_str().unwrap_or("")).collect();
    assert_eq!(contents, ["0", "2", "4", "6", "8", ""]);
    let [dead, ready, .., leased, last] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((&dead["state"], &dead["deadLetter"]["reason"]), (&"dead".into(), &"torn".into()));
    assert_eq!(ready["headers"]["meta-number"], "2");
    assert_eq!((&ready["channel"], &ready["source"]), (&"acme/orders".into(), &"acme/orders".into()));
    assert_eq!((&leased["state"], &leased["deliveries"]), (&"leased".into(), &1.into()));
    assert_eq!((&last["content64"], &last["group"]), (&"//4=".into(), &"g".into()));
    assert_eq!(dumped(&broker.data_folder(), &["--channel", "acme/orders"]), messages);
    let output = on(&broker.data_folder(), "dump", &["--channel", "acme/others"]);
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("which has: acme/orders"), "{}", stderr(&output));
    let records = dumped(&broker.data_folder(), &["--records"]);
    let settles = records.iter().filter(|record| record["kind"] == "removed").count();
    assert_eq!(settles, 5);
}

#[tokio::test]
async fn a_dump_and_its_errors_have_no_terminal_control_characters_and_read_back_unchanged() {
    let mut broker = Broker::serving(ORDERS);
    let hostile = "a\u{9b}2J\u{1b}[2J\u{202e}b";
    broker.pushed("acme/orders", hostile).await;
    assert!(broker.stop().success());
    let shown = on(&broker.data_folder(), "dump", &[]);
    let no_channel = on(&broker.data_folder(), "dump", &["--channel", hostile]);
    for text in [stdout(&shown), stderr(&no_channel)] {
        let control_character =
            text.chars().find(|letter| (letter.is_control() && *letter != '\n') || *letter == '\u{202e}');
        assert_eq!(control_character, None, "{text:?}");
    }
    assert_eq!(dumped(&broker.data_folder(), &[])[0]["content"], hostile);
    assert!(stderr(&no_channel).contains(r"a\u{9b}2J\x1b[2J\u{202e}b"), "{}", stderr(&no_channel));
}

#[tokio::test]
async fn check_and_dump_refuse_a_folder_in_use_and_anything_but_a_data_folder() {
    let broker = Broker::serving(ORDERS);
    for command in ["check", "dump"] {
        let output = on(&broker.data_folder(), command, &[]);
        assert_eq!(status(&output), 2);
        assert!(
            stderr(&output).contains("in use") && stderr(&output).contains("backup"),
            "{}",
            stderr(&output)
        );
        let output = on(&broker.manifests(), command, &[]);
        assert_eq!(status(&output), 2);
        assert!(stderr(&output).contains("not a data folder"), "{}", stderr(&output));
        let output = on(&broker.manifests().join("channels.yaml"), command, &[]);
        assert_eq!(status(&output), 2);
        let says = stderr(&output);
        assert!(says.contains("not a data folder") && !says.contains("--data-dir"), "{says}");
        assert_eq!(status(&run_command(&[command])), 2);
        let help = run_command(&[command, "--help"]);
        assert!(stdout(&help).contains("Exit codes: 0"), "{}", stdout(&help));
    }
}

#[tokio::test]
async fn a_damaged_frame_is_reported_and_the_messages_around_it_are_dumped() {
    let broker = killed_with_messages().await;
    let (file, place) = broker.segment_with(b"meta-number4");
    let segment = broker.data_folder().join(&file);
    let mut bytes = fs::read(&segment).unwrap();
    // In the head of its record: damage in a body alone would lose only that message.
    bytes[place - 40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let output = on(&broker.data_folder(), "check", &["--json"]);
    assert_eq!(status(&output), 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let [damage] = &report["damage"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!((&damage["file"], &damage["frames"]), (&file.as_str().into(), &1.into()));
    let [from, to] = ["from", "to"].map(|end| damage[end].as_u64().unwrap() as usize);
    assert!((from..to).contains(&place) && to - from < 300, "{damage}");
    assert_eq!((&damage["savable"][0]["before"], &damage["savable"][0]["after"]), (&2.into(), &3.into()));
    let text = on(&broker.data_folder(), "check", &[]);
    assert!(stdout(&text).contains(&format!("DAMAGED {file}")), "{}", stdout(&text));
    println!("{}", stdout(&text));
    let output = on(&broker.data_folder(), "dump", &[]);
    assert_eq!(status(&output), 1);
    assert_eq!(stdout(&output).lines().count(), 5);
    assert!(stderr(&output).contains(&format!("damaged: {file}")), "{}", stderr(&output));
}

#[tokio::test]
async fn check_reports_that_damage_in_the_body_of_a_settled_message_affects_no_message() {
    let broker = killed_with_messages().await;
    // The body of a settled message.
    let (file, place) = broker.segment_with(b"meta-number3");
    let segment = broker.data_folder().join(&file);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[place] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let output = on(&broker.data_folder(), "check", &[]);
    let printed = stdout(&output);
    assert_eq!(status(&output), 1, "{printed}");
    assert!(
        printed.contains("the damage does not affect it") && !printed.contains("dead-letters"),
        "{printed}"
    );
}
