//! Which version of HTTP a connection begins with. It is looked at and not taken: hyper takes the whole head in one read then,
//! and keeps a buffer of 8 KiB for the connection instead of one of 16.

use std::io;

use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;

/// What a client of HTTP/2 sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
    /// There are too few of them.
    Unknown,
}

impl Version {
    /// Waits for the first bytes of a connection.
    pub(super) async fn of(stream: &TcpStream) -> io::Result<Self> {
        let mut bytes = [0; PREFACE.len()];
        let count = stream.peek(&mut bytes).await?;
        Ok(Self::told_by(&bytes[..count]))
    }

    fn told_by(bytes: &[u8]) -> Self {
        match bytes.len() {
            _ if !PREFACE.starts_with(bytes) => Self::Http1,
            24 => Self::Http2,
            _ => Self::Unknown,
        }
    }

    /// Serves this version; hyper finds out by itself what is not known.
    pub(super) fn told<E>(self, builder: Builder<E>) -> Builder<E> {
        match self {
            Self::Http1 => builder.http1_only(),
            Self::Http2 => builder.http2_only(),
            Self::Unknown => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_tells_http_2_and_what_it_does_not_begin_with_http_1() {
        assert_eq!(Version::told_by(PREFACE), Version::Http2);
        assert_eq!(Version::told_by(b"GET / HTTP/1.1\r\n"), Version::Http1);
        assert_eq!(Version::told_by(b"PRI * HTTP/1.1\r\nHost: h"), Version::Http1);
        for length in 0..PREFACE.len() {
            assert_eq!(Version::told_by(&PREFACE[..length]), Version::Unknown, "{length}");
        }
    }
}
