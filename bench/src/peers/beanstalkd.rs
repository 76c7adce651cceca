//! beanstalkd, with its binlog synced at each write.

use std::{net::SocketAddr, path::Path};

use anyhow::{Result, bail};

use crate::{
    broker::http::message_body,
    load::Work,
    server::{Server, free_port, pinned},
    stream::{Stream, line},
};

/// Starts beanstalkd on a folder.
pub(crate) fn start(program: &Path, folder: &Path) -> Result<Server> {
    let address = free_port()?;
    let mut command = pinned(program);
    command.args(["-l", "127.0.0.1", "-p", &address.port().to_string(), "-f0", "-b"]).arg(folder);
    let mut server = Server::start("beanstalkd", &command, folder, address)?;
    server.wait_until_idle()?;
    Ok(server)
}

/// Puts a job and waits for the answer.
pub(crate) struct Push {
    server: SocketAddr,
    request: Vec<u8>,
}

impl Push {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let body = message_body();
        // Priority, delay and time to run, then the length.
        let mut request = format!("put 0 0 60 {}\r\n", body.len()).into_bytes();
        request.extend(body);
        request.extend(b"\r\n");
        Self { server, request }
    }
}

impl Work for Push {
    type Client = Stream;

    async fn begin(&self) -> Result<Stream> {
        Stream::open(self.server).await
    }

    async fn once(&self, stream: &mut Stream) -> Result<()> {
        stream.send(&self.request).await?;
        stream.answer(inserted).await
    }
}

fn inserted(bytes: &[u8]) -> Result<Option<(usize, ())>> {
    let Some((whole, text)) = line(bytes)? else { return Ok(None) };
    if !text.starts_with("INSERTED ") {
        bail!("beanstalkd answered {text:?}");
    }
    Ok(Some((whole, ())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_inserted_job_counts() {
        assert_eq!(inserted(b"INSERTED 7\r\n").unwrap(), Some((12, ())));
        assert_eq!(inserted(b"INSERTED 7").unwrap(), None);
        assert!(inserted(b"BURIED 7\r\n").is_err());
    }
}
