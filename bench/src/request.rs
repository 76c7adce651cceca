//! Requests as bytes, and the ends of their answers: clients that cost the load's core as little as can be.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use httparse::{EMPTY_HEADER, Response, Status};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// More than the head of any answer here.
const HEAD_BYTES: usize = 4096;

/// A POST of a message of so many bytes.
pub(crate) fn push(address: &str, bytes: usize) -> Vec<u8> {
    let mut request = format!(
        "POST /v1/messages/{address} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {bytes}\r\n\r\n"
    )
    .into_bytes();
    request.extend((0..bytes).map(|index| index as u8));
    request
}

/// A GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("cannot reach {server}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(HEAD_BYTES) })
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Reads an answer of this status to its end, and gives its body.
    pub(crate) async fn answer(&mut self, expected: u16) -> Result<&[u8]> {
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            if let Some((head, body)) = parse(&self.buffer, expected)?
                && self.buffer.len() >= head + body
            {
                return Ok(&self.buffer[head..head + body]);
            }
        }
    }
}

/// The lengths of an answer's head and body, once its head is there.
fn parse(bytes: &[u8], expected: u16) -> Result<Option<(usize, usize)>> {
    let mut headers = [EMPTY_HEADER; 32];
    let mut response = Response::new(&mut headers);
    let Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    if response.code != Some(expected) {
        bail!("expected {expected}: {}", String::from_utf8_lossy(bytes));
    }
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = match length {
        Some(length) => std::str::from_utf8(length.value)?.parse()?,
        None => 0,
    };
    Ok(Some((head, body)))
}
