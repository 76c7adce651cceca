//! Programs a broker's channels through the control port, like an operator.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use restante_wire::{Address, ChannelConfig, channel::MESSAGES_MAX, path};
use uuid::Uuid;

use super::{Broker, http};
use crate::{load::block_on, stream::Stream};

/// The control token, in a file that the broker reads.
pub(super) const TOKEN: &str = "a-credential-that-only-this-benchmark-has";
/// Channels per chunk of the request.
const CHUNK: usize = 1000;
pub(crate) const NAMESPACE: &str = "acme";

/// The address of a channel.
pub(crate) fn address(number: u64) -> String {
    format!("{NAMESPACE}/{}", name(number))
}

/// The first channel has the name that all other rows use.
fn name(number: u64) -> String {
    if number == 0 { "bench".to_owned() } else { format!("c{number}") }
}

/// Programs this number of plain channels, and waits until the broker has stored them.
pub(crate) fn program_many(broker: &Broker, channels: usize) -> Result<()> {
    program(broker, (0..channels as u64).map(|number| channel(&name(number))))
}

/// Programs these channels, and waits until the broker has stored them.
pub(crate) fn program(broker: &Broker, channels: impl Iterator<Item = Result<ChannelConfig>>) -> Result<()> {
    let control = broker.control.context("this broker was started without a control port")?;
    block_on(sync(control, channels))
}

async fn sync(control: SocketAddr, mut channels: impl Iterator<Item = Result<ChannelConfig>>) -> Result<()> {
    let mut stream = Stream::open(control).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n",
        path::CONTROL_SYNC
    );
    stream.send(head.as_bytes()).await?;
    loop {
        let mut lines = Vec::new();
        for channel in channels.by_ref().take(CHUNK) {
            serde_json::to_writer(&mut lines, &channel?)?;
            lines.push(b'\n');
        }
        if lines.is_empty() {
            break;
        }
        stream.send(format!("{:x}\r\n", lines.len()).as_bytes()).await?;
        lines.extend(b"\r\n");
        stream.send(&lines).await?;
    }
    stream.send(b"0\r\n\r\n").await?;
    http::status(&mut stream, 200).await
}

/// A plain channel with this name, which no row can fill.
pub(crate) fn channel(name: &str) -> Result<ChannelConfig> {
    let uid = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes());
    let mut config = ChannelConfig::new(uid, NAMESPACE, name, Address::new(NAMESPACE, name)?);
    (config.limits.messages, config.limits.bytes) = (MESSAGES_MAX, u64::MAX);
    Ok(config)
}
