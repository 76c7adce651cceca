//! The records of a frame, and the messages among them whose content is damaged.

use super::frame;
use crate::log::{
    Record, RecordHead,
    record::{self, RecordError},
};

pub(super) enum Content<'a> {
    /// An intact record.
    Whole(Record<'a>),
    /// A message with a damaged or unreadable content, and its intact head.
    Unread(RecordHead<'a>),
}

/// Visits the records of a frame whose heads are all intact. `first` is the offset of the first record.
pub(super) fn each_record(
    records: &[u8],
    first: u64,
    mut visit: impl FnMut(u64, usize, Content<'_>),
) -> Result<(), (u64, RecordError)> {
    let mut rest = records;
    while !rest.is_empty() {
        let offset = first + (records.len() - rest.len()) as u64;
        let failed = |error| (offset, error);
        let (head, extent) = RecordHead::decode_first(rest).map_err(failed)?;
        let (bytes, after) = rest.split_at_checked(extent.record).ok_or(failed(RecordError::Truncated))?;
        let content = if record::is_whole(bytes) {
            Content::Whole(Record::decode(bytes).map_err(failed)?)
        } else {
            Content::Unread(head)
        };
        visit(offset, extent.record, content);
        rest = after;
    }
    Ok(())
}

/// Visits the records of a frame with the heads from an index, even if the frame itself is damaged. `frame` is the
/// frame's bytes, which start at `offset`. A record without content is taken from its head.
pub(super) fn each_indexed_record(
    heads: &[u8],
    frame: &[u8],
    offset: u64,
    mut visit: impl FnMut(u64, usize, Content<'_>),
) -> Result<(), (u64, RecordError)> {
    let (mut rest, mut at) = (heads, frame::HEAD_BYTES);
    while !rest.is_empty() {
        let failed = |error| (offset + at as u64, error);
        let (head, extent) = RecordHead::decode_first(rest).map_err(failed)?;
        let bytes = frame.get(at..at + extent.record).ok_or(failed(RecordError::Truncated))?;
        let is_intact = bytes.starts_with(&rest[..extent.head]) && record::is_whole(bytes);
        let content = match Record::decode(bytes) {
            _ if extent.head == extent.record => Content::Whole(head.record),
            Ok(record) if is_intact => Content::Whole(record),
            _ => Content::Unread(head),
        };
        visit(offset + at as u64, extent.record, content);
        (rest, at) = (&rest[extent.head..], at + extent.record);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ChannelId, Target, Targets};

    /// A frame with a message between two other records; where the message's content starts and ends, and where the
    /// records end.
    fn sealed() -> (Vec<u8>, [usize; 3]) {
        let mut targets = Vec::new();
        Target { channel: ChannelId(1), sequence: 5, expires_ms: None }.encode(&mut targets);
        let message = Record::Message {
            targets: Targets::new(&targets),
            parcel: None,
            message_id: 77,
            enqueued_ms: 9,
            idempotency: None,
            due_ms: None,
            group: Some("g"),
            moved_from: None,
            headers: b"some headers",
            body: b"and a body",
        };
        let mut frame = vec![0; frame::HEAD_BYTES];
        Record::Removed { channel: ChannelId(1), sequence: 3, cause: record::RemovalCause::Settled }
            .encode(&mut frame);
        message.encode(&mut frame);
        let ends = frame.len();
        Record::Removed { channel: ChannelId(1), sequence: 4, cause: record::RemovalCause::Settled }
            .encode(&mut frame);
        let records_end = frame.len();
        frame::seal(&mut frame, 7, 3, 2);
        (frame, [ends - b"some headersand a body".len(), ends, records_end])
    }

    #[test]
    fn a_frame_with_a_damaged_content_is_parsed_and_with_any_other_damage_it_is_not() {
        let (frame, [content_begins, ends, records_end]) = sealed();
        assert!(frame::parse(&frame, 7).is_some());
        for bit in 0..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let parsed = frame::parse_but_contents(&changed, 7);
            let byte = bit / 8;
            if (content_begins..ends).contains(&byte) {
                let (head, records) = parsed.unwrap_or_else(|| panic!("byte {byte}"));
                let mut seen = Vec::new();
                each_record(records, 0, |_, _, content| {
                    let unread = matches!(content, Content::Unread(head) if head.content_bytes == ends - content_begins);
                    seen.push(unread);
                })
                .unwrap();
                assert_eq!(head.number, 3);
                assert_eq!(seen, [false, true, false], "byte {byte}");
            } else if !(content_begins - 4..content_begins).contains(&byte) && byte < records_end {
                // The length of the headers counts as content, but a record with another length is not accepted.
                assert_eq!(parsed, None, "byte {byte}");
            }
        }
    }
}
