//! Encoded requests, and a parser for their answers.

use anyhow::{Result, bail};
use httparse::{EMPTY_HEADER, Response, Status};
use restante_wire::batch::{FRAMES_CONTENT_TYPE, ItemHead, encode_frame};

use crate::stream::Stream;

/// Size of every message's body, for Restante and for the other brokers.
pub(crate) const MESSAGE_BYTES: usize = 1024;

/// The parsed parts of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The `Location` header: the lease of a message.
    pub(crate) location: Option<String>,
}

/// Arbitrary bytes as the body of a message.
pub(crate) fn message_body() -> Vec<u8> {
    (0..MESSAGE_BYTES).map(|index| index as u8).collect()
}

/// A POST of one message.
pub(crate) fn push(address: &str) -> Vec<u8> {
    post(&format!("/v1/messages/{address}"), "Content-Type: application/octet-stream\r\n", &message_body())
}

/// A POST of a batch of messages as frames, with the head that `head` returns for each.
pub(crate) fn push_batch(address: &str, messages: usize, head: impl Fn(usize) -> ItemHead) -> Vec<u8> {
    let mut frames = Vec::new();
    for message in 0..messages {
        encode_frame(&head(message), &message_body(), &mut frames);
    }
    post(&format!("/v1/batches/{address}"), &format!("Content-Type: {FRAMES_CONTENT_TYPE}\r\n"), &frames)
}

/// A POST with these header lines.
pub(crate) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    request.extend(body);
    request
}

/// A GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// A GET with the header that confirms its `ack=auto`.
pub(crate) fn get_and_settle(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nRestante-Settle: yes\r\n\r\n").into_bytes()
}

/// A pull with this query that also settles the receiver's previous message.
pub(crate) fn pull(address: &str, query: &str, settles: Option<&str>) -> Vec<u8> {
    let acknowledge = settles.map(|lease| format!("Acknowledge: {lease}\r\n")).unwrap_or_default();
    format!("GET /v1/messages/{address}{query} HTTP/1.1\r\nHost: localhost\r\n{acknowledge}\r\n").into_bytes()
}

/// Reads an answer with this status to its end, and discards it.
pub(crate) async fn status(stream: &mut Stream, expected: u16) -> Result<()> {
    stream.answer(|bytes| Ok(extent(bytes, Some(expected))?.map(|extent| (extent.end, ())))).await
}

/// Reads an answer with this status to its end.
pub(crate) async fn answer(stream: &mut Stream, expected: u16) -> Result<Answer> {
    read(stream, Some(expected)).await
}

/// Reads an answer with any status to its end.
pub(crate) async fn any_answer(stream: &mut Stream) -> Result<Answer> {
    read(stream, None).await
}

async fn read(stream: &mut Stream, expected: Option<u16>) -> Result<Answer> {
    stream
        .answer(|bytes| {
            let Some(Extent { status, head, end, location }) = extent(bytes, expected)? else {
                return Ok(None);
            };
            let location =
                location.map(|(from, to)| std::str::from_utf8(&bytes[from..to]).map(str::to_owned));
            Ok(Some((
                end,
                Answer { status, body: bytes[head..end].to_vec(), location: location.transpose()? },
            )))
        })
        .await
}

/// Positions of the parts of an answer.
struct Extent {
    status: u16,
    head: usize,
    end: usize,
    location: Option<(usize, usize)>,
}

/// Parses the positions of a complete answer; `None` if the answer is incomplete.
fn extent(bytes: &[u8], expected: Option<u16>) -> Result<Option<Extent>> {
    let mut headers = [EMPTY_HEADER; 32];
    let mut response = Response::new(&mut headers);
    let Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    if let Some(expected) = expected.filter(|expected| *expected != status) {
        bail!("expected {expected}: {}", String::from_utf8_lossy(bytes));
    }
    let (mut body, mut location) = (0, None);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = std::str::from_utf8(header.value)?.parse()?;
        } else if header.name.eq_ignore_ascii_case("location") {
            let from = header.value.as_ptr().addr() - bytes.as_ptr().addr();
            location = Some((from, from + header.value.len()));
        }
    }
    let end = head + body;
    Ok((bytes.len() >= end).then_some(Extent { status, head, end, location }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nLocation: /v1/leases/abc\r\nContent-Length: 5\r\n\r\nseven";

    #[test]
    fn an_answer_is_complete_with_the_last_byte_of_its_body() {
        for length in 0..ANSWER.len() {
            assert!(extent(&ANSWER[..length], Some(200)).unwrap().is_none(), "{length}");
        }
        let Extent { head, end, location, .. } = extent(ANSWER, Some(200)).unwrap().unwrap();
        assert_eq!(&ANSWER[head..end], b"seven");
        let (from, to) = location.unwrap();
        assert_eq!(&ANSWER[from..to], b"/v1/leases/abc");
    }

    #[test]
    fn an_unexpected_status_is_an_error_with_the_answer() {
        let error = extent(ANSWER, Some(201)).err().unwrap().to_string();
        assert!(error.contains("expected 201: HTTP/1.1 200 OK"), "{error}");
    }

    #[test]
    fn a_pull_names_the_lease_that_it_settles() {
        let text = String::from_utf8(pull("acme/bench", "?wait=0", Some("/v1/leases/abc"))).unwrap();
        assert!(text.starts_with("GET /v1/messages/acme/bench?wait=0 HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("\r\nAcknowledge: /v1/leases/abc\r\n\r\n"), "{text}");
    }
}
