//! A client that reads only the beginning of an answer.

use std::net::SocketAddrV4;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::broker::DEADLINE;

/// Receive buffer of the kernel. The rest of an unread answer stays in the broker or the proxy.
const RECEIVE_BUFFER_BYTES: u32 = 16 * 1024;

/// The beginning of an answer on an open connection, which is closed when this is dropped.
pub(super) struct PartialAnswer {
    pub(super) head: String,
    _connection: TcpStream,
}

impl PartialAnswer {
    pub(super) fn header(&self, name: &str) -> Result<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(other, _)| other.eq_ignore_ascii_case(name));
        Ok(found.with_context(|| format!("no {name} in {}", self.head))?.1)
    }
}

/// Sends a request, and reads the head and the first bytes of the body of its answer.
pub(super) async fn begin_answer(address: SocketAddrV4, request: &str) -> Result<PartialAnswer> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let mut connection = socket.connect(address.into()).await?;
    connection.write_all(request.as_bytes()).await?;
    let (mut read, mut part) = (Vec::new(), [0; 512]);
    loop {
        let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = end.filter(|end| read.len() > end + 4) {
            let head = String::from_utf8_lossy(&read[..end]).into_owned();
            return Ok(PartialAnswer { head, _connection: connection });
        }
        match timeout(DEADLINE, connection.read(&mut part)).await.context("no answer came")?? {
            0 => bail!("the answer ended: {}", String::from_utf8_lossy(&read)),
            bytes => read.extend(&part[..bytes]),
        }
    }
}
