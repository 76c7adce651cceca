//! The command `restante` with a real broker, as people and scripts use it.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::Signal;
use restante_tests::{process::Process, wait};
use serde_json::Value;

use crate::{
    broker::{Broker, DEADLINE, channel},
    programs::restante,
};

/// Runs the command with `input` on its standard input.
pub(crate) fn run(broker: &Broker, arguments: &[&str], input: &[u8]) -> Result<Output> {
    let mut restante = restante(&broker.url(), arguments)?;
    let mut child = restante.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A command that does not read its input may have exited already.
    let _ = child.stdin.take().context("it was piped")?.write_all(input);
    Ok(child.wait_with_output()?)
}

/// Runs the command, which must succeed, and returns its standard output.
pub(crate) fn succeeds(broker: &Broker, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let output = run(broker, arguments, input)?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "restante {arguments:?} ended with {}: {said}", output.status);
    Ok(output.stdout)
}

#[tokio::test]
async fn a_pushed_message_is_pulled_unchanged_and_then_the_channel_is_empty() -> Result<()> {
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    let content = b"seven\0bolts\xff and no newline";
    let id = succeeds(&broker, &["push", "acme/orders", "-t", "image/png"], content)?;
    assert_eq!(id.trim_ascii().len(), 36, "{id:?} is not a Message-Id");

    let counts = succeeds(&broker, &["channel", "acme/orders", "-o", "json"], b"")?;
    let counts: Value = serde_json::from_slice(&counts)?;
    assert_eq!((&counts[0]["ready"], &counts[0]["bytes"].is_u64()), (&1.into(), &true), "{counts}");

    assert_eq!(succeeds(&broker, &["pull", "acme/orders"], b"")?, content);
    assert_eq!(broker.stats("orders").await?.messages(), 0, "the pull did not settle the message");
    let nothing = run(&broker, &["pull", "acme/orders", "--wait", "0"], b"")?;
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(3), 0));
    let unknown = run(&broker, &["push", "acme/nowhere"], b"x")?;
    assert_eq!(unknown.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("acme/nowhere"), "{unknown:?}");
    Ok(())
}

#[tokio::test]
async fn a_lease_token_passed_to_another_process_settles_the_message() -> Result<()> {
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    succeeds(&broker, &["push", "acme/orders"], b"seven bolts")?;
    let file = broker.folder().join("content");
    let file = file.to_str().context("a folder of letters and digits")?;
    let lease = succeeds(&broker, &["pull", "acme/orders", "--no-settle", "-O", file], b"")?;
    let lease = String::from_utf8(lease)?;
    assert_eq!(fs::read(file)?, b"seven bolts");
    assert_eq!(broker.stats("orders").await?.leased, 1);
    assert_eq!(succeeds(&broker, &["renew", lease.trim(), "--seconds", "40"], b"")?, b"40\n");
    succeeds(&broker, &["settle", lease.trim()], b"")?;
    assert_eq!(broker.stats("orders").await?.messages(), 0);
    Ok(())
}

/// Appends each delivery to a file, and fails at the first delivery of the second message.
const WORK: &str = r#"
content=$(cat)
echo "$content $RESTANTE_DELIVERIES $RESTANTE_CONTENT_TYPE" >> "$0"
[ "$content $RESTANTE_DELIVERIES" != 'two 1' ]
"#;

#[tokio::test]
async fn pull_follow_runs_a_command_per_message_despite_failures_and_a_broker_outage() -> Result<()> {
    let mut broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    let done = broker.folder().join("done");
    let file = done.to_str().context("a folder of letters and digits")?.to_owned();
    let lines = |count: usize| {
        let done = done.clone();
        wait::until("the command's lines", DEADLINE, move || {
            let text = fs::read_to_string(&done).unwrap_or_default();
            if text.lines().count() >= count { Ok(text) } else { Err(anyhow!("{text:?}")) }
        })
    };
    let words = ["pull", "acme/orders", "--follow", "--exec", "sh", "-c", WORK, &file];
    let follow: Command = restante(&broker.url(), &words)?;
    let mut follow = Process::start("restante pull", &follow, &broker.folder().join("follow.log"))?;

    succeeds(&broker, &["push", "acme/orders", "--lines", "-t", "text/plain"], b"one\ntwo\nthree\n")?;
    // The failed message backs off for a second, and later messages are delivered before it.
    assert_eq!(lines(4)?, "one 1 text/plain\ntwo 1 text/plain\nthree 1 text/plain\ntwo 2 text/plain\n");
    broker.until_empty("orders").await?;

    broker.kill()?;
    broker.start()?;
    succeeds(&broker, &["push", "acme/orders", "-t", "text/plain"], b"four")?;
    assert!(lines(5)?.ends_with("four 1 text/plain\n"));
    broker.until_empty("orders").await?;
    follow.signal(Signal::SIGTERM)?;
    assert_eq!(follow.wait(DEADLINE)?.code(), Some(0), "{}", follow.log_text());
    Ok(())
}
