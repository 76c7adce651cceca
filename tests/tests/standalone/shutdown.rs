//! SIGTERM during the start or the work of each program, as the first process of a container.

use std::{fs::File, net::TcpListener, path::Path, process::Command};

use anyhow::{Result, ensure};
use restante_tests::{command::command, requirements::has_root};
use restante_wire::batch::{BATCH_ITEMS_MAX, PushResults};
use serde_json::json;

use crate::{
    broker::{Broker, channel},
    first_process::FirstProcess,
    programs,
};

/// Logged by a broker that gets a signal before it serves.
const ENDED_EARLY: &str = "stopped before the broker was ready";

#[tokio::test]
async fn a_broker_that_waits_for_its_folders_lock_ends_at_once_on_a_signal() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    let broker = Broker::prepared(&channel("orders", "paused: false"), &["--lock-wait", "3600"])?;
    std::fs::create_dir(broker.folder().join("data"))?;
    let lock = File::create(broker.folder().join("data/lock"))?;
    lock.lock()?;
    let mut waiting = FirstProcess::start(&broker.command()?, &broker.folder().join("log"))?;
    waiting.until_it_handles_sigterm()?;
    waiting.until_it_has_open("data/lock")?;
    let status = waiting.terminate()?;
    let log = waiting.log_text();
    ensure!(
        status.code() == Some(0) && log.contains(ENDED_EARLY) && log.contains("SIGTERM"),
        "{status}: {log}"
    );
    Ok(())
}

/// Batches in the log: enough that a start reads them for seconds. The signal comes within hundredths of a second.
const BATCHES: usize = 200;

#[tokio::test]
async fn a_broker_that_reads_its_log_ends_at_once_on_a_signal_and_the_next_start_has_everything() -> Result<()>
{
    if !has_root() {
        return Ok(());
    }
    let messages = BATCHES * BATCH_ITEMS_MAX;
    let mut broker = Broker::serving(&channel("orders", "limits: {messages: 100000000}")).await?;
    let items: Vec<_> = (0..BATCH_ITEMS_MAX).map(|number| json!({"content": number.to_string()})).collect();
    let batch = json!({ "messages": items }).to_string();
    let batch = || broker.post("/v1/batches/acme/orders", batch.clone());
    for _ in 0..BATCHES {
        let results = batch().await?.error_for_status()?.json::<PushResults>().await?.results;
        ensure!(results.iter().all(|result| result.status == 201), "{results:?}");
    }
    broker.kill()?;
    for entry in std::fs::read_dir(broker.folder().join("data/log"))? {
        let path = entry?.path();
        // A start reads a segment that has no index.
        if path.extension().is_some_and(|extension| extension == "idx") {
            std::fs::remove_file(path)?;
        }
    }
    let mut starting = FirstProcess::start(&broker.command()?, &broker.folder().join("log"))?;
    starting.until_it_handles_sigterm()?;
    starting.until_it_has_open(".seg")?;
    let status = starting.terminate()?;
    let log = starting.log_text();
    ensure!(status.code() == Some(0) && log.contains(ENDED_EARLY), "{status}: {log}");
    broker.start()?;
    broker.ready().await?;
    let stats = broker.stats("orders").await?;
    ensure!(stats.ready == messages as u64, "{stats:?}, of {messages}");
    Ok(())
}

/// A server that accepts connections and never answers.
fn silent_server() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

#[test]
fn a_maintenance_command_ends_at_once_on_a_signal() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    let (listener, url) = silent_server()?;
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    std::fs::write(&token, "t".repeat(32))?;
    let mut backup = command(programs::folder()?.join("restante-broker"), ["backup", "--control-url", &url]);
    backup.arg("--output").arg(folder.path().join("backup.tar")).arg("--control-token-file").arg(token);
    let mut backup = FirstProcess::start(&backup, &folder.path().join("log"))?;
    let _asks = listener.accept()?;
    backup.until_it_handles_sigterm()?;
    let status = backup.terminate()?;
    ensure!(status.code() == Some(128 + 15), "{status}: {}", backup.log_text());
    ensure!(backup.log_text().contains("interrupted by SIGTERM"), "{}", backup.log_text());
    Ok(())
}

/// The operator for an API server at a URL.
fn operator(url: &str, folder: &Path, arguments: &[&str]) -> Result<Command> {
    let kubeconfig = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "silent",
        "clusters": [{"name": "silent", "cluster": {"server": url}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "nobody"}}],
        "users": [{"name": "nobody", "user": {}}],
    });
    std::fs::write(&kubeconfig, config.to_string())?;
    let mut operator = command(programs::folder()?.join("restante-operator"), arguments);
    operator.env("KUBECONFIG", kubeconfig).env("RESTANTE_METRICS_LISTEN", "127.0.0.1:0");
    Ok(operator)
}

#[test]
fn an_operator_without_an_api_server_ends_at_once_on_a_signal() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    let ((listener, url), folder) = (silent_server()?, tempfile::tempdir()?);
    let mut operator =
        FirstProcess::start(&operator(&url, folder.path(), &["run"])?, &folder.path().join("log"))?;
    let _asks = listener.accept()?;
    operator.until_it_handles_sigterm()?;
    let status = operator.terminate()?;
    ensure!(status.code() == Some(0), "{status}: {}", operator.log_text());
    Ok(())
}

#[test]
fn a_release_of_finalizers_ends_at_once_on_a_signal_and_reports_that_it_is_not_done() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    let ((listener, url), folder) = (silent_server()?, tempfile::tempdir()?);
    let mut release = FirstProcess::start(
        &operator(&url, folder.path(), &["release-finalizers"])?,
        &folder.path().join("log"),
    )?;
    let _asks = listener.accept()?;
    release.until_it_handles_sigterm()?;
    let status = release.terminate()?;
    let said = release.log_text();
    ensure!(
        status.code() == Some(1) && said.contains("interrupted by a signal before every MessageChannel"),
        "{status}: {said}"
    );
    Ok(())
}
