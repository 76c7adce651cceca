//! Listing, redriving and purging dead letters with the command `restante`, a real broker and its control port.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    broker::{Broker, channel},
    cli::succeeds,
    programs::restante,
};

/// The command `restante` with the URL and the token of the control port.
fn control(broker: &Broker, arguments: &[&str]) -> Result<Command> {
    let mut restante = restante(&broker.url(), arguments)?;
    restante.env("RESTANTE_CONTROL_URL", broker.control_url());
    restante.env("RESTANTE_CONTROL_TOKEN_FILE", broker.token_file());
    Ok(restante)
}

fn controls(broker: &Broker, arguments: &[&str]) -> Result<Value> {
    let output = control(broker, arguments)?.output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn a_rejected_message_is_listed_with_its_reason_then_redriven_and_later_purged() -> Result<()> {
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    succeeds(&broker, &["push", "acme/orders", "--lines"], b"one\ntwo\n")?;
    // With `--reject-on 9`, the command rejects the message when the program exits with 9.
    let give_up =
        ["pull", "acme/orders", "--reject-on", "9", "--exec", "sh", "-c", "cat > /dev/null; exit 9"];
    for _ in 0..2 {
        let output = restante(&broker.url(), &give_up)?.output()?;
        ensure!(!output.status.success(), "the pull succeeded although its command failed");
    }
    let listed = succeeds(&broker, &["dead-letters", "list", "acme/orders", "-o", "json"], b"")?;
    let listed: Value = serde_json::from_slice(&listed)?;
    let messages = listed["messages"].as_array().with_context(|| format!("there is no list in {listed}"))?;
    ensure!(messages.len() == 2, "{listed}");
    for (message, content) in messages.iter().zip(["one", "two"]) {
        ensure!(message["content"] == content && message["deadLetter"]["cause"] == "rejected", "{message}");
        ensure!(
            message["deadLetter"]["reason"].as_str().is_some_and(|reason| reason.contains('9')),
            "{message}"
        );
    }

    let words = ["dead-letters", "redrive", "acme/orders", "--limit", "1", "-o", "json"];
    let redriven = controls(&broker, &words)?;
    ensure!((&redriven["moved"], &redriven["left"]) == (&1.into(), &1.into()), "{redriven}");
    let again = succeeds(&broker, &["pull", "acme/orders"], b"")?;
    ensure!(again == b"one", "expected the oldest dead letter to be redriven, got {again:?}");
    let purged = controls(&broker, &["dead-letters", "purge", "acme/orders", "-o", "json"])?;
    ensure!(purged["purged"] == 1, "{purged}");
    let stats = broker.stats("orders").await?;
    ensure!((stats.dead, stats.messages()) == (0, 0), "{stats:?}");
    Ok(())
}

#[tokio::test]
async fn the_control_port_rejects_another_token() -> Result<()> {
    let broker = Broker::serving(&channel("orders", "delivery: {waitSeconds: 1}")).await?;
    let mut purge = control(&broker, &["dead-letters", "purge", "acme/orders"])?;
    let another = broker.folder().join("another-token");
    std::fs::write(&another, "another-token-than-the-one-of-the-broker")?;
    let output = purge.env("RESTANTE_CONTROL_TOKEN_FILE", &another).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("401") || said.contains("unauthorized"),
        "{}: {said}",
        output.status
    );
    Ok(())
}
