//! The head of a record, which has everything that a start needs; and the verification of a record.
//!
//! A record starts with its head: the bytes before its headers. A record without content is a head only. So a record is
//! reduced to its head by truncating it, and the same code decodes both.

use super::{Record, RecordError, decode};

/// A record without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// The record, with empty headers and an empty body.
    pub record: Record<'a>,
    /// Bytes of the headers and the body.
    pub content_bytes: usize,
}

/// Lengths of a record and of its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordExtent {
    pub head: usize,
    pub record: usize,
    /// Offset of the record's checksum, if it has one.
    pub(super) checksum: Option<usize>,
}

impl<'a> RecordHead<'a> {
    pub fn of(record: &Record<'a>) -> Self {
        let mut head = Self { record: *record, content_bytes: 0 };
        if let Record::Message { headers, body, .. } = &mut head.record {
            head.content_bytes = headers.len() + body.len();
            (*headers, *body) = (&[], &[]);
        }
        head
    }

    /// Decodes the head at the start of these bytes. The record's content, or anything else, may follow.
    pub fn decode_first(bytes: &'a [u8]) -> Result<(Self, RecordExtent), RecordError> {
        let (record, content_bytes, extent) = decode::head(bytes)?;
        Ok((Self { record, content_bytes }, extent))
    }
}

/// Whether these bytes are one intact record. Only messages have a checksum; other records are checked for
/// their structure.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Ok((_, extent)) = RecordHead::decode_first(bytes) else { return false };
    let as_written = |at: usize| {
        let stored = bytes[at..].first_chunk().map(|stored| u32::from_le_bytes(*stored));
        stored == Some(checksum(bytes, at))
    };
    extent.record == bytes.len() && extent.checksum.is_none_or(as_written)
}

/// CRC-32C of a record without its checksum field, which is at `at`.
pub(super) fn checksum(record: &[u8], at: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..at]), &record[at + CHECKSUM_BYTES..])
}

/// The CRC-32C of a prefix followed by the record in its original form, even if the record's content has changed since.
/// `before` is the CRC-32C of the prefix. Also returns the record's length. Nothing if no record starts here. A record
/// without a checksum counts in its current form.
///
/// For a message, the stored checksum and the bytes before it determine the original checksum of the rest.
pub fn checksum_as_written(before: u32, bytes: &[u8]) -> Option<(u32, usize)> {
    let (_, extent) = RecordHead::decode_first(bytes).ok()?;
    let record = bytes.get(..extent.record)?;
    let Some(at) = extent.checksum else {
        return Some((crc32c::crc32c_append(before, record), extent.record));
    };
    let (head, rest) = record.split_at(at);
    let (stored, rest) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
    let of_rest = u32::from_le_bytes(*stored) ^ crc32c::crc32c_combine(crc32c::crc32c(head), 0, rest.len());
    let with_head = crc32c::crc32c_append(before, &record[..at + CHECKSUM_BYTES]);
    Some((crc32c::crc32c_combine(with_head, of_rest, rest.len()), extent.record))
}

pub(super) const CHECKSUM_BYTES: usize = 4;
