//! An upstream that loses answers: it passes a request on to the broker, reads the whole answer, and closes the
//! client's connection.

use std::net::SocketAddrV4;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use crate::broker::{Broker, DEADLINE};

/// Serves one connection.
pub(super) struct LosingUpstream {
    pub(super) address: SocketAddrV4,
    task: JoinHandle<Result<String>>,
}

impl LosingUpstream {
    pub(super) async fn in_front_of(broker: &Broker) -> Result<Self> {
        let listener = TcpListener::bind((*broker.data.ip(), 0)).await?;
        let address = SocketAddrV4::new(*broker.data.ip(), listener.local_addr()?.port());
        let broker = broker.data;
        let task = tokio::spawn(async move {
            let (mut proxy, _) = listener.accept().await?;
            // A second connection is refused.
            drop(listener);
            let request = message(&mut proxy).await?;
            let mut broker = TcpStream::connect(broker).await?;
            broker.write_all(&request).await?;
            let answer = message(&mut broker).await?;
            drop(proxy);
            Ok(String::from_utf8(answer)?)
        });
        Ok(Self { address, task })
    }

    /// Waits for the lost answer.
    pub(super) async fn lost_answer(self) -> Result<String> {
        timeout(DEADLINE, self.task).await.context("no request came")??
    }
}

/// One request or answer with a `Content-Length`, or without content.
async fn message(connection: &mut TcpStream) -> Result<Vec<u8>> {
    let (mut read, mut part) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(Ok(0), str::parse)?;
            if read.len() >= end + 4 + length {
                return Ok(read);
            }
        }
        let bytes = timeout(DEADLINE, connection.read(&mut part)).await.context("no message came")??;
        ensure!(bytes > 0, "the message ended: {}", String::from_utf8_lossy(&read));
        read.extend(&part[..bytes]);
    }
}
