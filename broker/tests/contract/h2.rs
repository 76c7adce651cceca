//! HTTP/2 frames, for requests that no client library would send (RFC 9113 section 4.1).

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

use crate::broker::DEADLINE;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Frame types.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// The connection preface, with default settings (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A received frame.
#[derive(Debug)]
pub(crate) struct ReceivedFrame {
    pub(crate) stream: u32,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The connection preface with this initial window for each answer.
pub(crate) fn preface_with_window(bytes: u32) -> Vec<u8> {
    // SETTINGS_INITIAL_WINDOW_SIZE is setting 4.
    let settings = [&[0, 4][..], &bytes.to_be_bytes()].concat();
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &settings)].concat()
}

/// The pseudo-header fields of a request.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
}

/// Header fields in HPACK: each as a literal without indexing (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "its length takes one byte");
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// The next frame of a type.
pub(crate) async fn next_of(stream: &mut (impl AsyncRead + Unpin), kind: u8) -> ReceivedFrame {
    let next = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("a frame's head");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            stream.read_exact(&mut vec![0; length]).await.expect("a frame's payload");
            if head[3] == kind {
                return ReceivedFrame { stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) };
            }
        }
    };
    timeout(DEADLINE, next).await.expect("the frame comes")
}
