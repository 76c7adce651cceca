//! Another number of workers at the next start, on the same data.

use std::{fs, time::Instant};

use reqwest::{Method, StatusCode};

use crate::{
    broker::{Broker, DEADLINE, header},
    operator::{channel, with_channels_and_flags},
};

/// The names of folders and files that hold logs, each with its number of segments.
fn logs(broker: &Broker) -> Vec<(String, usize)> {
    let mut logs: Vec<_> = fs::read_dir(broker.data_folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("log"))
        .map(|entry| {
            let files = fs::read_dir(entry.path()).unwrap().map(|file| file.unwrap().file_name());
            let segments = files.filter(|name| name.to_string_lossy().ends_with(".seg")).count();
            (entry.file_name().to_string_lossy().into_owned(), segments)
        })
        .collect();
    logs.sort();
    logs
}

async fn wait_until_empty(broker: &Broker, log: &str) {
    let deadline = Instant::now() + DEADLINE;
    while logs(broker).iter().any(|(name, segments)| name == log && *segments > 0) {
        assert!(Instant::now() < deadline, "{:?}", logs(broker));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_start_with_another_number_of_cores_copies_and_removes_the_old_logs_while_it_serves() {
    let names = ["one", "two", "three"];
    let channels = names.map(channel);
    let mut broker = with_channels_and_flags(&channels, &["--segment-size", "1MiB", "--cores", "1"]).await;
    for number in 0..120 {
        let content = format!("{number} {}", "x".repeat(30_000));
        broker.pushed(&format!("acme/{}", names[number % 3]), content).await;
    }
    let (_, lease) = broker.pulled("acme/one").await;
    for (cores, gone, there) in [
        ("2", "log", vec!["log", "log-2-0of2", "log-2-1of2"]),
        ("1", "log-2-1of2", vec!["log", "log-3-0of1"]),
        ("3", "log-3-0of1", vec!["log", "log-4-0of3", "log-4-1of3", "log-4-2of3"]),
    ] {
        broker.kill();
        broker.set_flag("--cores", cores);
        broker.start();
        wait_until_empty(&broker, gone).await;
        broker.kill();
        broker.start();
        let found: Vec<_> = logs(&broker).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, there, "empty folders of before go");
    }
    let settled = broker.request(Method::DELETE, &lease).send().await.unwrap();
    assert_eq!(settled.status(), StatusCode::NO_CONTENT, "the lease is unchanged");
    for number in 1..120 {
        let response =
            broker.pull_with_ack_auto(&format!("acme/{}", names[number % 3]), "wait=5").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "message-deliveries"), "1");
        let text = response.text().await.unwrap();
        assert!(text.starts_with(&format!("{number} ")), "{number}: {}", &text[..10]);
    }
}
