//! A disk that is full, and is emptied again: a real file system, as small as the test wants it.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use restante_client::{ProblemType, Receiver, ReceiverOptions};
use restante_tests::{command::run, requirements};

use crate::broker::{Broker, channel, http};

const DISK: &str = "size=16m";
/// Far more than the disk takes.
const PUSHES_MAX: usize = 2000;

/// A file system in memory, gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Result<Self> {
        fs::create_dir(&at)?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&at))?;
        Ok(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Its broker may still be about to end: then the mount ends with it.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_loses_nothing_and_takes_more_when_it_was_emptied() -> Result<()> {
    if !requirements::has_root() {
        return Ok(());
    }
    let mut broker =
        Broker::prepared(&channel("orders", "limits: {bytes: 1Gi}"), &["--segment-size", "1MiB"])?;
    let _disk = SmallDisk::mount(broker.folder().join("data"))?;
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
        assert_eq!((message.id.to_string(), &message.content[..]), (id.clone(), &content(number)[..]));
        message.settle().await?;
    }
    push(&broker, 0).await?.context("an emptied disk takes no message")?;
    Ok(())
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
