//! NATS with JetStream: a stream in files, and a consumer that stores acknowledgements.
//!
//! Retention is NATS' default, `limits`: an acknowledged message stays. With `workqueue` it is deleted, as from a
//! queue, and a server that always syncs delivers a fifth of the messages per second.

mod protocol;
pub(crate) mod work;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;

use self::protocol::Connection;
use crate::{
    load::block_on,
    server::{Server, free_port, pinned},
};

/// The stream and its one subject.
const STREAM: &str = "bench";
/// The consumer from which receivers pull.
const CONSUMER: &str = "receivers";

/// When NATS syncs a message to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before its acknowledgement.
    Always,
    /// Every two minutes, NATS' default: a power cut loses up to two minutes of messages.
    Default,
}

/// Starts NATS on a folder, and makes the stream if it does not exist.
pub(crate) fn start(program: &Path, folder: &Path, sync: Sync) -> Result<Server> {
    let address = free_port()?;
    let sync = match sync {
        Sync::Always => "sync_interval: always",
        Sync::Default => "",
    };
    let config = folder.join("nats.conf");
    let data = folder.join("data");
    fs::write(
        &config,
        format!(
            "listen: \"{address}\"\njetstream {{ store_dir: {data:?}, max_file_store: 100GB, {sync} }}\n"
        ),
    )?;
    let mut command = pinned(program);
    command.arg("--config").arg(&config);
    let mut server = Server::start("nats-server", &command, folder, address)?;
    block_on(prepare(&server))?;
    server.wait_until_idle()?;
    Ok(server)
}

async fn prepare(server: &Server) -> Result<()> {
    let mut connection = Connection::open(server.address).await?;
    let stream = json!({ "name": STREAM, "subjects": [STREAM], "storage": "file" });
    connection.ask(&format!("$JS.API.STREAM.CREATE.{STREAM}"), stream.to_string().as_bytes()).await?;
    let consumer = json!({
        "stream_name": STREAM,
        "config": { "durable_name": CONSUMER, "ack_policy": "explicit", "max_ack_pending": 100_000 },
    });
    let path = format!("$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}");
    connection.ask(&path, consumer.to_string().as_bytes()).await.context("cannot make the consumer")
}
