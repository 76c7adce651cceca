//! Which version of HTTP a connection begins with. It is looked at and not taken: hyper takes the whole head in one read then,
//! and keeps a buffer of 8 KiB for the connection instead of one of 16.

use std::io::{self, ErrorKind::WouldBlock};

use tokio::{io::Interest, net::TcpStream};

/// What a client of HTTP/2 sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

impl Version {
    /// Waits for as many bytes of a connection as tell.
    pub(super) async fn of(stream: &TcpStream) -> io::Result<Self> {
        let mut bytes = [0; PREFACE.len()];
        let mut before = 0;
        loop {
            let count = stream.peek(&mut bytes).await?;
            if let Some(version) = Self::told_by(&bytes[..count]) {
                return Ok(version);
            }
            // No more will come: hyper tells the peer what is wrong with it.
            if count == before {
                return Ok(Self::Http1);
            }
            before = count;
            // What has come stays there, and is no news any more: the next look waits for more of it.
            let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(WouldBlock.into()));
        }
    }

    /// None when there are too few of them.
    fn told_by(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            _ if !PREFACE.starts_with(bytes) => Some(Self::Http1),
            24 => Some(Self::Http2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    #[test]
    fn the_preface_tells_http_2_and_what_it_does_not_begin_with_http_1() {
        assert_eq!(Version::told_by(PREFACE), Some(Version::Http2));
        assert_eq!(Version::told_by(b"GET / HTTP/1.1\r\n"), Some(Version::Http1));
        assert_eq!(Version::told_by(b"PRI * HTTP/1.1\r\nHost: h"), Some(Version::Http1));
        for length in 0..PREFACE.len() {
            assert_eq!(Version::told_by(&PREFACE[..length]), None, "{length}");
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_preface_that_comes_in_pieces_is_waited_for() {
        let (mut client, server) = pair().await;
        client.set_nodelay(true).unwrap();
        let told = tokio::spawn(async move { (Version::of(&server).await.unwrap(), server) });
        for piece in PREFACE.chunks(5) {
            tokio::task::yield_now().await;
            assert!(!told.is_finished());
            client.write_all(piece).await.unwrap();
        }
        assert_eq!(told.await.unwrap().0, Version::Http2);
    }

    #[tokio::test]
    async fn a_peer_that_goes_within_the_preface_is_waited_for_no_longer() {
        let (mut client, server) = pair().await;
        client.write_all(&PREFACE[..5]).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(Version::of(&server).await.unwrap(), Version::Http1);
    }
}
