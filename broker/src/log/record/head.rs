//! What a record says without its content: all that a start needs of it; and whether it is as it was written.
//!
//! A record begins with its head: its bytes up to where its headers begin; of a record without content, all of it. So heads
//! are kept by cutting records off, and read by the same code.

use super::{Record, RecordError, decode};

/// A record without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead<'a> {
    /// The record, with headers and a body of no bytes.
    pub record: Record<'a>,
    /// Bytes of its headers and its body.
    pub content_bytes: usize,
}

/// How long a record and its head are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordExtent {
    /// Bytes of the head.
    pub head: usize,
    /// Bytes of the record.
    pub record: usize,
    /// Where the record's checksum is, if it has one.
    pub(super) checksum: Option<usize>,
}

impl<'a> RecordHead<'a> {
    /// The head of a record.
    pub fn of(record: &Record<'a>) -> Self {
        let mut head = Self { record: *record, content_bytes: 0 };
        if let Record::Push { headers, body, .. } | Record::Message { headers, body, .. } = &mut head.record {
            head.content_bytes = headers.len() + body.len();
            (*headers, *body) = (&[], &[]);
        }
        head
    }

    /// The head at the start of some bytes, which go on with the record's content or with whatever else.
    pub fn decode_first(bytes: &'a [u8]) -> Result<(Self, RecordExtent), RecordError> {
        let (record, content_bytes, extent) = decode::head(bytes)?;
        Ok((Self { record, content_bytes }, extent))
    }
}

/// Whether these bytes are one record as it was written. Of one without a checksum, and those are all that are no messages and
/// those that 0.1.0 wrote, only the shape is looked at.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Ok((_, extent)) = RecordHead::decode_first(bytes) else { return false };
    let as_written = |at: usize| {
        let stored = bytes[at..].first_chunk().map(|stored| u32::from_le_bytes(*stored));
        stored == Some(checksum(bytes, at))
    };
    extent.record == bytes.len() && extent.checksum.is_none_or(as_written)
}

/// The crc32c over a record but for the checksum itself, which is at `at`.
pub(super) fn checksum(record: &[u8], at: usize) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..at]), &record[at + CHECKSUM_BYTES..])
}

/// The crc32c over some bytes and the record after them as it was written, by that over the bytes before it: whatever has become
/// of the record's content since, if it has a checksum. Nothing where no record begins.
///
/// Of a message, the checksum and what lies before it tell what the checksum of the rest was.
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

/// Bytes of a checksum.
pub(super) const CHECKSUM_BYTES: usize = 4;
