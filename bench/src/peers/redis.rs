//! Redis streams, with every write in the append-only file and synced before its answer.

use std::{net::SocketAddr, path::Path};

use anyhow::{Result, bail};

use crate::{
    broker::http::message_body,
    load::Work,
    server::{Server, free_port, pinned},
    stream::{Stream, line},
};

/// Starts Redis on a folder.
pub(crate) fn start(program: &Path, folder: &Path) -> Result<Server> {
    let address = free_port()?;
    let mut command = pinned(program);
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]).arg("--dir").arg(folder);
    command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    // No snapshot and no rewrite of the file during a turn.
    command.args(["--save", "", "--auto-aof-rewrite-percentage", "0"]);
    let mut server = Server::start("redis-server", &command, folder, address)?;
    server.wait_until_idle()?;
    Ok(server)
}

/// Appends a message to a stream and waits for the answer.
pub(crate) struct Push {
    server: SocketAddr,
    request: Vec<u8>,
}

impl Push {
    pub(crate) fn to(server: SocketAddr) -> Self {
        Self { server, request: command(&[b"XADD", b"bench", b"*", b"content", &message_body()]) }
    }
}

impl Work for Push {
    type Client = Stream;

    async fn begin(&self) -> Result<Stream> {
        Stream::open(self.server).await
    }

    async fn once(&self, stream: &mut Stream) -> Result<()> {
        stream.send(&self.request).await?;
        stream.answer(entry).await
    }
}

/// Encodes a command in RESP, as an array of strings.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Finds the end of the answer to XADD: a string, the entry's id.
fn entry(bytes: &[u8]) -> Result<Option<(usize, ())>> {
    let Some((head, text)) = line(bytes)? else { return Ok(None) };
    let Some(length) = text.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) else {
        bail!("Redis answered {text:?}")
    };
    let whole = head + length + 2;
    Ok((bytes.len() >= whole).then_some((whole, ())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        assert_eq!(command(&[b"GET", b"seven"]), b"*2\r\n$3\r\nGET\r\n$5\r\nseven\r\n");
    }

    #[test]
    fn an_answer_is_complete_with_its_id_and_an_error_is_refused() {
        let answer = b"$3\r\n1-0\r\n";
        for length in 0..answer.len() {
            assert_eq!(entry(&answer[..length]).unwrap(), None, "{length}");
        }
        assert_eq!(entry(answer).unwrap(), Some((answer.len(), ())));
        assert!(entry(b"-MISCONF errors writing to the AOF file\r\n").is_err());
    }
}
