//! The compact framing of a batch: `application/vnd.restante.batch`.
//!
//! Each frame is one message, and frames follow each other without separators. All numbers are unsigned and big-endian
//! (RFC 1700).
//!
//! | bytes | field |
//! |---|---|
//! | 0–4 | length of the rest of the frame, `u32` |
//! | 4–8 | length of the head, `u32` |
//! | 8–8+head | the head: the item's JSON object without `content` and `content64`, in UTF-8 |
//! | to the end | the content, byte for byte |

use serde::{Serialize, de::DeserializeOwned};

use super::BATCH_ITEMS_MAX;
use crate::json::{self, Fault};

/// The media type of framed batches.
pub const FRAMES_CONTENT_TYPE: &str = "application/vnd.restante.batch";

/// Why bytes are not valid frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramesError {
    /// The bytes end in the middle of a frame.
    #[error("frame {frame} is incomplete: its length is {length} bytes, but {left} follow")]
    Truncated {
        /// The number of the frame, from 0.
        frame: usize,
        /// The value of its length field.
        length: usize,
        /// The bytes after the length field.
        left: usize,
    },
    /// The bytes end in the middle of a length field.
    #[error("the {left} bytes after frame {frame} are too few for the length field of another frame")]
    NoLength {
        /// The number of the last complete frame, from 0.
        frame: usize,
        /// The bytes after that frame.
        left: usize,
    },
    /// The head is longer than its frame.
    #[error(
        "the head of frame {frame} is incomplete: its length is {length} bytes, but the frame has {left}"
    )]
    HeadTooLong {
        /// The number of the frame, from 0.
        frame: usize,
        /// The value of the head's length field.
        length: usize,
        /// The bytes of the frame after that field.
        left: usize,
    },
    /// The head is not valid JSON of an item.
    #[error("the head of frame {frame} is malformed: {reason}")]
    Head {
        /// The number of the frame, from 0.
        frame: usize,
        /// The error in the head.
        reason: Fault,
    },
    /// There are more than [`BATCH_ITEMS_MAX`] frames.
    #[error("the batch exceeds the limit of {BATCH_ITEMS_MAX} frames")]
    TooMany,
}

/// Appends a frame to a body.
pub fn encode_frame(head: &impl Serialize, content: &[u8], to: &mut Vec<u8>) {
    let start = to.len();
    to.extend([0; 8]);
    serde_json::to_writer(&mut *to, head).expect("an item's head has only JSON's own types");
    let head = to.len() - start - 8;
    to.extend_from_slice(content);
    let whole = to.len() - start - 4;
    to[start..start + 4].copy_from_slice(&(whole as u32).to_be_bytes());
    to[start + 4..start + 8].copy_from_slice(&(head as u32).to_be_bytes());
}

/// One frame of a batch, split but not parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The head, which should be JSON.
    pub head: &'a [u8],
    /// The content of the message.
    pub content: &'a [u8],
}

/// Splits a body into frames, without parsing their heads.
pub fn split_frames(mut bytes: &[u8]) -> Result<Vec<Frame<'_>>, FramesError> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let frame = frames.len();
        if frame == BATCH_ITEMS_MAX {
            return Err(FramesError::TooMany);
        }
        let (length, rest) = length(bytes)
            .ok_or(FramesError::NoLength { frame: frame.saturating_sub(1), left: bytes.len() })?;
        let (body, rest) = rest.split_at_checked(length).ok_or(FramesError::Truncated {
            frame,
            length,
            left: rest.len(),
        })?;
        let (head, content) = self::length(body)
            .and_then(|(head, rest)| rest.split_at_checked(head))
            .ok_or_else(|| FramesError::HeadTooLong {
                frame,
                length: self::length(body).map_or(0, |(head, _)| head),
                left: body.len().saturating_sub(4),
            })?;
        frames.push(Frame { head, content });
        bytes = rest;
    }
    Ok(frames)
}

/// Parses a body into heads and bodies. Fails if any head is invalid.
pub fn decode_frames<Head: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(Head, &[u8])>, FramesError> {
    let frames = split_frames(bytes)?.into_iter().enumerate();
    let read = frames.map(|(frame, Frame { head, content })| {
        let head = json::read(head).map_err(|reason| FramesError::Head { frame, reason })?;
        Ok((head, content))
    });
    read.collect()
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*length) as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::{super::ItemHead, *};

    #[test]
    fn frames_are_read_as_they_were_written() {
        let head = ItemHead { group: Some("g".into()), ..ItemHead::default() };
        let mut bytes = Vec::new();
        encode_frame(&head, b"\0seven", &mut bytes);
        encode_frame(&ItemHead::default(), b"", &mut bytes);
        assert_eq!(bytes[..8], [0, 0, 0, 4 + 13 + 6, 0, 0, 0, 13]);
        let frames: Vec<(ItemHead, &[u8])> = decode_frames(&bytes).unwrap();
        assert_eq!(frames, [(head, &b"\0seven"[..]), (ItemHead::default(), &b""[..])]);
    }

    #[test]
    fn a_frame_truncated_anywhere_is_refused() {
        let mut bytes = Vec::new();
        encode_frame(&ItemHead::default(), b"seven", &mut bytes);
        for length in 1..bytes.len() {
            assert!(decode_frames::<ItemHead>(&bytes[..length]).is_err(), "{length}");
        }
        let long_head = [&[0, 0, 0, 4][..], &[0, 0, 0, 9]].concat();
        assert!(matches!(decode_frames::<ItemHead>(&long_head), Err(FramesError::HeadTooLong { .. })));
        assert!(matches!(decode_frames::<ItemHead>(&[0, 0, 0, 0]), Err(FramesError::HeadTooLong { .. })));
        assert_eq!(decode_frames::<ItemHead>(&[]), Ok(vec![]));
    }
}
