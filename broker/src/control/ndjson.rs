//! Reads channel configurations from a body: one JSON object per line, parsed as the body arrives.

use axum::body::Body;
use restante_wire::{ChannelConfig, ProblemType, json};

use crate::{
    address_store::CHANNELS_MAX,
    http::{HttpError, body::read_parts},
};

/// The maximum length of a line: ten times that of a channel with sixteen of the longest destinations.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads a whole set. Empty lines are ignored, and the last line needs no line end.
pub(super) async fn channels(body: Body) -> Result<Vec<ChannelConfig>, HttpError> {
    let mut lines = Lines::default();
    read_parts(body, |part| lines.push(part)).await?;
    lines.finish()
}

/// Reads one channel.
pub(super) async fn channel(body: Body) -> Result<ChannelConfig, HttpError> {
    let mut text = Vec::new();
    read_parts(body, |part| {
        text.extend_from_slice(part);
        if text.len() > LINE_BYTES_MAX { Err(too_long("the body")) } else { Ok(()) }
    })
    .await?;
    parse(&text, "the body")
}

/// The channels read so far, and the incomplete line.
#[derive(Default)]
struct Lines {
    channels: Vec<ChannelConfig>,
    begun: Vec<u8>,
    number: usize,
}

impl Lines {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), HttpError> {
        while let Some(at) = chunk.iter().position(|byte| *byte == b'\n') {
            self.extend(&chunk[..at])?;
            self.end_line()?;
            chunk = &chunk[at + 1..];
        }
        self.extend(chunk)
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), HttpError> {
        if self.begun.len() + part.len() > LINE_BYTES_MAX {
            return Err(too_long(&format!("line {}", self.number + 1)));
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), HttpError> {
        self.number += 1;
        let line = self.begun.trim_ascii();
        if !line.is_empty() {
            if self.channels.len() == CHANNELS_MAX {
                return Err(malformed(format!(
                    "the set exceeds the limit of {CHANNELS_MAX} channels; use a second MessageBroker"
                )));
            }
            self.channels.push(parse(line, &format!("line {}", self.number))?);
        }
        self.begun.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ChannelConfig>, HttpError> {
        self.end_line()?;
        Ok(self.channels)
    }
}

fn parse(text: &[u8], place: &str) -> Result<ChannelConfig, HttpError> {
    json::read(text).map_err(|fault| malformed(format!("{place} is not a valid channel: {fault}")))
}

fn too_long(place: &str) -> HttpError {
    malformed(format!("{place} exceeds the limit of {LINE_BYTES_MAX} bytes"))
}

fn malformed(detail: String) -> HttpError {
    HttpError::new(ProblemType::BodyMalformed, detail)
}
