//! Detects the HTTP version of a connection by peeking at its first bytes. Because they are not consumed, hyper reads
//! the whole head at once, and keeps a buffer of 8 KiB for the connection instead of 16 KiB.

use std::io::{self, ErrorKind::WouldBlock};

use tokio::{io::Interest, net::TcpStream};

/// The connection preface of an HTTP/2 client (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

impl Version {
    /// Waits until the first bytes of a connection show its version.
    pub(super) async fn of(stream: &TcpStream) -> io::Result<Self> {
        let mut bytes = [0; PREFACE.len()];
        let mut before = 0;
        loop {
            let count = stream.peek(&mut bytes).await?;
            if let Some(version) = Self::detect(&bytes[..count]) {
                return Ok(version);
            }
            // No more bytes will come: hyper reports the error to the peer.
            if count == before {
                return Ok(Self::Http1);
            }
            before = count;
            // Clears the readiness, so that the next peek waits for more bytes.
            let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(WouldBlock.into()));
        }
    }

    /// The version, or `None` if there are too few bytes to tell.
    fn detect(bytes: &[u8]) -> Option<Self> {
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
    fn the_preface_identifies_http_2_and_anything_else_is_http_1() {
        assert_eq!(Version::detect(PREFACE), Some(Version::Http2));
        assert_eq!(Version::detect(b"GET / HTTP/1.1\r\n"), Some(Version::Http1));
        assert_eq!(Version::detect(b"PRI * HTTP/1.1\r\nHost: h"), Some(Version::Http1));
        for length in 0..PREFACE.len() {
            assert_eq!(Version::detect(&PREFACE[..length]), None, "{length}");
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_preface_may_arrive_in_pieces() {
        let (mut client, server) = pair().await;
        client.set_nodelay(true).unwrap();
        let detected = tokio::spawn(async move { (Version::of(&server).await.unwrap(), server) });
        for piece in PREFACE.chunks(5) {
            tokio::task::yield_now().await;
            assert!(!detected.is_finished());
            client.write_all(piece).await.unwrap();
        }
        assert_eq!(detected.await.unwrap().0, Version::Http2);
    }

    #[tokio::test]
    async fn a_peer_that_hangs_up_within_the_preface_ends_the_wait_for_it() {
        let (mut client, server) = pair().await;
        client.write_all(&PREFACE[..5]).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(Version::of(&server).await.unwrap(), Version::Http1);
    }
}
