//! A connection with a read buffer. Each protocol here is bytes to send, and a function that finds the end of an
//! answer. Client libraries would use more CPU on the load's core than some servers use on theirs.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Initial buffer size, enough for a message of 1 KiB with its head. The buffer grows for a batch.
const BUFFER_BYTES: usize = 4096;

/// A persistent connection.
pub(crate) struct Stream {
    socket: TcpStream,
    /// Received bytes that are not parsed yet.
    buffer: Vec<u8>,
}

impl Stream {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(server).await.with_context(|| format!("cannot reach {server}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.socket.write_all(bytes).await?)
    }

    /// Reads until `parse` finds a complete answer at the beginning of the buffer, and removes the answer. `parse`
    /// returns its length and a value, or `None` while the answer is incomplete.
    pub(crate) async fn answer<T>(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<Option<(usize, T)>>,
    ) -> Result<T> {
        loop {
            if !self.buffer.is_empty()
                && let Some((length, value)) = parse(&self.buffer)?
            {
                if length == self.buffer.len() {
                    self.buffer.clear();
                } else {
                    self.buffer.drain(..length);
                }
                return Ok(value);
            }
            let read = self.socket.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection: {}", String::from_utf8_lossy(&self.buffer));
        }
    }
}

/// The first line without its line break, and its length with the line break.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<(usize, &str)>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    Ok(Some((end + 2, std::str::from_utf8(&bytes[..end])?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_complete_with_its_line_break() {
        assert_eq!(line(b"+OK\r\nnext").unwrap(), Some((5, "+OK")));
        assert_eq!(line(b"+OK\r").unwrap(), None);
        assert_eq!(line(b"").unwrap(), None);
    }
}
