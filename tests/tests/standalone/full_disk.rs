//! A full disk that is emptied again: a real file system of the size that the test needs.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use restante_client::{
    BatchOptions, Message, ProblemType, Receiver, ReceiverOptions, ReleaseOptions, Sender, Verdict,
};
use restante_tests::{command::run, requirements, wait::until};

use crate::broker::{Broker, channel, http};

/// Far more than the disk has room for.
const PUSHES_MAX: usize = 2000;

/// The body of a purge of dead letters.
const PURGE: &str = r#"{"states": ["dead"]}"#;

/// A file system in memory, unmounted when it is dropped.
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
    /// Writes a file of this size, or of all free space if that is less, as another program on the volume would.
    fn fill_by_others(&self, file: &str, mebibytes: u32) -> Result<()> {
        let file = self.0.join(file);
        let (of, count) = (format!("of={}", file.display()), format!("count={}", mebibytes * 256));
        // dd fails when the volume is full.
        Command::new("dd").args(["if=/dev/zero", "bs=4096", &of, &count]).output()?;
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If the broker has not exited yet, the kernel unmounts the file system when it does.
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
        anyhow::ensure!(stored.len() < PUSHES_MAX, "the disk is still not full");
    }
    anyhow::ensure!(stored.len() > 50, "only {} messages fit", stored.len());

    // Pulls and settles continue, and every message that was answered 201 is delivered, in order.
    let receiver = Receiver::new(&broker.client()?, "acme/orders".parse()?, ReceiverOptions::default());
    for (number, id) in stored.iter().enumerate() {
        let message = receiver.receive().await?;
        assert_eq!((message.id.to_string(), &message.body[..]), (id.clone(), &content(number)[..]));
        message.settle().await?;
    }
    push(&broker, 0).await?.context("a push was refused after the disk was emptied")?;
    Ok(())
}

/// A volume of 48 MiB that another program fills, dead letters in the oldest segment, and receivers that release 99 of
/// 100 messages.
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
        ensure!(round < 5000, "only {leased} messages were leased");
    }
    for _ in 0..3 {
        broker.kill()?;
        broker.start()?;
        broker.ready().await?;
        ensure!(
            receive_and_apply(&broker, orders, release_most).await? > 0,
            "no message is leased after a start"
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
    ensure!(stored == 1000, "the emptied disk accepted {stored} of 1000 messages");
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
    until("the logs of two workers to be copied", Duration::from_secs(60), copied)?;
    broker.kill()?;
    disk.fill_by_others("rest", 48)?;
    broker.start()?;
    broker.ready().await?;
    let receiver = Receiver::new(&broker.client()?, "acme/orders".parse()?, ReceiverOptions::default());
    let message = receiver.receive().await?;
    assert_eq!(message.id.to_string(), id);
    message.settle().await?;
    // With room, the next start records that the logs were copied, and removes them.
    broker.kill()?;
    fs::remove_file(disk.0.join("rest"))?;
    broker.start()?;
    broker.ready().await?;
    ensure!(!disk.0.join("log-2-0of2").exists(), "the folder of a copied log is left");
    Ok(())
}

/// Sends this number of messages in batches, and returns the number of stored ones.
async fn fill(broker: &Broker, to: &str, messages: usize, content: &str) -> Result<usize> {
    let sender = Sender::new(&broker.client()?, to.parse()?);
    let messages = (0..messages).map(|_| Message::new(content.to_owned())).collect();
    let sent = sender.send_batch(messages, Some(Duration::from_millis(500))).await;
    Ok(sent.iter().filter(|result| result.is_ok()).count())
}

/// Receives at most 100 messages, applies the verdict for each place, and returns the number of messages. A verdict
/// that the full disk refuses is dropped: the message returns when its lease expires.
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

/// Pushes a message, and returns its id, or `None` if the disk is full.
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
