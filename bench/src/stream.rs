//! A connection and what has buffer of it: each protocol here is bytes that are sent, and a function that finds the end of an
//! answer. Clients of libraries would cost the load's core more than some servers cost theirs.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Room for a message of 1 KiB with its head, and for a batch after some reads.
const BUFFER_BYTES: usize = 4096;

/// A connection that is kept.
pub(crate) struct Stream {
    socket: TcpStream,
    /// What has buffer and was not taken yet.
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

    /// Reads until `parse` finds a whole answer at the beginning of what has buffer, and takes it: `parse` gives its length and
    /// what is wanted of it, or nothing while it is not whole.
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

/// The first line, without its end, and the length of both.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<(usize, &str)>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    Ok(Some((end + 2, std::str::from_utf8(&bytes[..end])?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_when_its_end_has_come() {
        assert_eq!(line(b"+OK\r\nnext").unwrap(), Some((5, "+OK")));
        assert_eq!(line(b"+OK\r").unwrap(), None);
        assert_eq!(line(b"").unwrap(), None);
    }
}
