//! The documented protocol of NATS clients: lines of text, and payloads of announced lengths.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use uuid::Uuid;

use crate::stream::{Stream, line};

/// A client's connection, with one subject for all answers and messages.
pub(super) struct Connection {
    stream: Stream,
    inbox: String,
}

/// A protocol message of the server.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A message: the subject of its answer, and its payload.
    Message(Option<String>, Vec<u8>),
    Ping,
    /// Needs no answer.
    Other,
}

impl Connection {
    pub(super) async fn open(server: SocketAddr) -> Result<Self> {
        let mut stream = Stream::open(server).await?;
        // Unique for each connection.
        let inbox = format!("_INBOX.{}", Uuid::new_v4().simple());
        let hello = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
             \"lang\":\"rust\",\"version\":\"0\"}}\r\nSUB {inbox} 1\r\n"
        );
        stream.send(hello.as_bytes()).await?;
        Ok(Self { stream, inbox })
    }

    /// Encodes a publish whose answer goes to this connection.
    pub(super) fn publishing(&self, subject: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = format!("PUB {subject} {} {}\r\n", self.inbox, payload.len()).into_bytes();
        bytes.extend(payload);
        bytes.extend(b"\r\n");
        bytes
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.send(bytes).await
    }

    /// Receives the next message: the subject of its answer, and its payload.
    pub(super) async fn message(&mut self) -> Result<(Option<String>, Vec<u8>)> {
        loop {
            match self.stream.answer(event).await? {
                Event::Message(reply, payload) => return Ok((reply, payload)),
                Event::Ping => self.stream.send(b"PONG\r\n").await?,
                Event::Other => {}
            }
        }
    }

    /// Waits for JetStream's acknowledgement.
    pub(super) async fn acknowledged(&mut self) -> Result<()> {
        let (_, payload) = self.message().await?;
        let text = std::str::from_utf8(&payload)?;
        if text.contains("\"error\":") {
            bail!("NATS refused: {text}");
        }
        Ok(())
    }

    /// Sends a request to JetStream, and waits for its acknowledgement.
    pub(super) async fn ask(&mut self, subject: &str, payload: &[u8]) -> Result<()> {
        self.send(&self.publishing(subject, payload)).await?;
        self.acknowledged().await
    }
}

/// Parses the first protocol message of the buffer, and its length.
fn event(bytes: &[u8]) -> Result<Option<(usize, Event)>> {
    let Some((head, text)) = line(bytes)? else { return Ok(None) };
    let mut words = text.split(' ');
    match words.next().unwrap_or_default() {
        "MSG" => {
            let words: Vec<&str> = words.collect();
            let (reply, length) = match words[..] {
                [_, _, length] => (None, length),
                [_, _, reply, length] => (Some(reply.to_owned()), length),
                _ => bail!("NATS sent {text:?}"),
            };
            let length: usize = length.parse().with_context(|| format!("NATS sent {text:?}"))?;
            // A line break follows the payload.
            let whole = head + length + 2;
            if bytes.len() < whole {
                return Ok(None);
            }
            Ok(Some((whole, Event::Message(reply, bytes[head..head + length].to_vec()))))
        }
        "PING" => Ok(Some((head, Event::Ping))),
        "PONG" | "+OK" | "INFO" => Ok(Some((head, Event::Other))),
        // The benchmark's messages have no headers, so HMSG is a status here: no responders, or a pull that ended.
        _ => bail!("NATS sent {:?}", String::from_utf8_lossy(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_with_its_payload_and_has_the_subject_of_its_answer() {
        let bytes = b"MSG bench 1 $JS.ACK.x 5\r\nseven\r\nPING\r\n";
        for length in 0..32 {
            assert_eq!(event(&bytes[..length]).unwrap(), None, "{length}");
        }
        let message = Event::Message(Some("$JS.ACK.x".into()), b"seven".to_vec());
        assert_eq!(event(bytes).unwrap(), Some((32, message)));
        assert_eq!(event(&bytes[32..]).unwrap(), Some((6, Event::Ping)));
        let (_, without) = event(b"MSG _INBOX.a 1 2\r\n{}\r\n").unwrap().unwrap();
        assert_eq!(without, Event::Message(None, b"{}".to_vec()));
    }

    #[test]
    fn a_status_and_an_error_end_the_turn() {
        assert!(event(b"-ERR 'Unknown Protocol Operation'\r\n").is_err());
        assert!(event(b"HMSG _INBOX.a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n").is_err());
    }
}
