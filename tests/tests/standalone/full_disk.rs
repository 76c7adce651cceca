//! A disk that is full, and is emptied again: a real file system, as small as the test wants it.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use restante_client::{
    BatchOptions, Message, ProblemType, Receiver, ReceiverOptions, ReleaseOptions, Sender, Verdict,
};
use restante_tests::{command::run, requirements, wait::until};

use crate::broker::{Broker, channel, http};

/// Far more than the disk takes.
const PUSHES_MAX: usize = 2000;

/// Dead letters go.
const PURGE: &str = r#"{"states": ["dead"]}"#;

/// A file system in memory, gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, mebibytes: u32) -> Result<Self> {
        fs::create_dir(&at)?;
        let size = format!("size={mebibytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at))?;
        Ok(Self(at))
    }
}

impl SmallDisk {
    /// Another process takes so many mebibytes, or all that there are, to the last byte, with this file.
    fn fill_by_others(&self, file: &str, mebibytes: u32) -> Result<()> {
        let file = self.0.join(file);
        let (of, count) = (format!("of={}", file.display()), format!("count={}", mebibytes * 256));
        // It may end because there is no more room.
        Command::new("dd").args(["if=/dev/zero", "bs=4096", &of, &count]).output()?;
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Its broker may still be about to end: then the mount ends with it.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_loses_nothing_and_accepts_pushes_again_when_emptied() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let mut broker =
        Broker::prepared(&channel("orders", "limits: {bytes: 1Gi}"), &["--segment-size", "1MiB"])?;
    let _disk = SmallDisk::mount(broker.folder().join("data"), 16)?;
    broker.start()?;
    broker.ready().await?;

    let mut stored = Vec::new();
    while let Some(id) = push(&broker, stored.len()).await? {
        stored.push(id);
        anyhow::ensure!(stored.len() < PUSHES_MAX, "the disk is never full");
    }
    anyhow::ensure!(stored.len() > 50, "only {} messages fit", stored.len());

    // What empties it goes on, and all that was answered 201 is there, in its order.
    let receiver = Receiver::new(&broker.client()?, "acme/orders".parse()?, ReceiverOptions::default());
    for (number, id) in stored.iter().enumerate() {
        let message = receiver.receive().await?;
        assert_eq!((message.id.to_string(), &message.body[..]), (id.clone(), &content(number)[..]));
        message.settle().await?;
    }
    push(&broker, 0).await?.context("an emptied disk takes no message")?;
    Ok(())
}

/// 48 MiB that another process fills, dead letters in the oldest segment, and receivers that give back 99 of 100.
#[tokio::test]
async fn receivers_that_release_99_of_100_messages_empty_a_broker_on_a_volume_filled_by_others() -> Result<()>
{
    if !requirements::has_root() {
        return Ok(());
    }
    let fields = "delivery: {waitSeconds: 1, leaseSeconds: 5}\n  limits: {messages: 1000000}";
    let manifests = format!("{}{}", channel("letters", fields), channel("orders", fields));
    let mut broker = Broker::prepared(&manifests, &["--segment-size", "1MiB"])?;
    let disk = SmallDisk::mount(broker.folder().join("data"), 48)?;
    broker.start()?;
    broker.ready().await?;

    let (letters, orders) = ("acme/letters", "acme/orders");
    for _ in 0..2 {
        fill(&broker, letters, 1000, &"x".repeat(500)).await?;
    }
    while receive_and_apply(&broker, letters, |_| Verdict::Reject { reason: None }).await? > 0 {}
    ensure!(broker.stats("letters").await?.dead == 2000, "{:?}", broker.stats("letters").await?);
    disk.fill_by_others("first", 30)?;
    while fill(&broker, orders, 1000, &"x".repeat(1000)).await? == 1000 {}
    disk.fill_by_others("rest", 48)?;

    let release_most = |number: usize| match number % 100 {
        0 => Verdict::Settle,
        _ => Verdict::Release(ReleaseOptions { uncounted: true, delay_seconds: None }),
    };
    let mut leased = 0;
    for round in 0.. {
        leased += receive_and_apply(&broker, orders, release_most).await?;
        if leased > 25_000 {
            break;
        }
        ensure!(round < 5000, "only {leased} were handed out");
    }
    for _ in 0..3 {
        broker.kill()?;
        broker.start()?;
        broker.ready().await?;
        ensure!(
            receive_and_apply(&broker, orders, release_most).await? > 0,
            "nothing is handed out after a start"
        );
    }
    for round in 0.. {
        receive_and_apply(&broker, orders, |_| Verdict::Settle).await?;
        let left = broker.stats("orders").await?;
        if left.messages() == 0 {
            break;
        }
        ensure!(round < 5000, "{left:?} is left");
    }
    let uid = broker.stats("letters").await?.uid;
    let purged = broker.control(&format!("channels/{uid}/purge"), PURGE.into()).send().await?;
    ensure!(purged.status().is_success(), "{}", purged.text().await?);
    ["first", "rest"].iter().try_for_each(|file| fs::remove_file(disk.0.join(file)))?;
    broker.until_empty("letters").await?;
    let stored = fill(&broker, orders, 1000, &"x".repeat(1000)).await?;
    ensure!(stored == 1000, "an emptied disk takes {stored} of 1000 messages");
    Ok(())
}

#[tokio::test]
async fn a_start_without_room_to_record_that_a_log_was_copied_serves_its_messages() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let mut broker =
        Broker::prepared(&channel("orders", "limits: {bytes: 1Gi}"), &["--segment-size", "1MiB"])?;
    let disk = SmallDisk::mount(broker.folder().join("data"), 48)?;
    broker.set_cores(2);
    broker.start()?;
    broker.ready().await?;
    let id = push(&broker, 0).await?.context("there is room")?;
    broker.kill()?;
    broker.set_cores(1);
    broker.start()?;
    broker.ready().await?;
    let copied = || {
        let segments = ["log-2-0of2", "log-2-1of2"].map(|log| fs::read_dir(disk.0.join(log)));
        let left = segments.into_iter().flatten().flatten().flatten();
        let left = left.filter(|file| file.path().extension().is_some_and(|kind| kind == "seg")).count();
        ensure!(left == 0, "{left} segments are left");
        Ok(())
    };
    until("the logs of two cores to be copied", Duration::from_secs(60), copied)?;
    broker.kill()?;
    disk.fill_by_others("rest", 48)?;
    broker.start()?;
    broker.ready().await?;
    let receiver = Receiver::new(&broker.client()?, "acme/orders".parse()?, ReceiverOptions::default());
    let message = receiver.receive().await?;
    assert_eq!(message.id.to_string(), id);
    message.settle().await?;
    // With room, the next start writes it down.
    broker.kill()?;
    fs::remove_file(disk.0.join("rest"))?;
    broker.start()?;
    broker.ready().await?;
    ensure!(!disk.0.join("log-2-0of2").exists(), "its folder is left");
    Ok(())
}

/// Sends so many messages at once. How many were stored.
async fn fill(broker: &Broker, to: &str, messages: usize, content: &str) -> Result<usize> {
    let sender = Sender::new(&broker.client()?, to.parse()?);
    let messages = (0..messages).map(|_| Message::new(content.to_owned())).collect();
    let sent = sender.send_batch(messages, Some(Duration::from_millis(500))).await;
    Ok(sent.iter().filter(|result| result.is_ok()).count())
}

/// Receives what is there, 100 at most, and says of each what becomes of it, by its place among them. How many there were.
/// Whatever finds no room is left as it is, and comes again.
async fn receive_and_apply(broker: &Broker, from: &str, verdict: impl Fn(usize) -> Verdict) -> Result<usize> {
    let mut options = ReceiverOptions::default();
    options.settle_within = Duration::from_millis(200);
    let receiver = Receiver::new(&broker.client()?, from.parse()?, options);
    let received = receiver.receive_batch_once(BatchOptions::default(), Some(Duration::from_secs(5))).await;
    let received = match received {
        Ok(received) => received,
        Err(error) if error.to_string().contains("full") => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let count = received.len();
    let verdicts = received.into_iter().enumerate().map(|(place, message)| (message, verdict(place)));
    receiver.apply_verdicts(verdicts.collect()).await;
    Ok(count)
}

fn content(number: usize) -> Vec<u8> {
    format!("{number} ").into_bytes().repeat(10_000)
}

/// Pushes a message: its id, or nothing when the disk is full.
async fn push(broker: &Broker, number: usize) -> Result<Option<String>> {
    let request = http()?.post(format!("{}/v1/messages/acme/orders", broker.url())).body(content(number));
    let answer = request.send().await?;
    match answer.status().as_u16() {
        201 => Ok(Some(answer.headers()["message-id"].to_str()?.to_owned())),
        503 => {
            let problem: restante_client::Problem = serde_json::from_slice(&answer.bytes().await?)?;
            assert_eq!(problem.problem_type(), Some(ProblemType::StoreFull), "{problem}");
            Ok(None)
        }
        status => bail!("a push was answered {status}"),
    }
}
