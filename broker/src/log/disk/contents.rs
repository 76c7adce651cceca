//! The records of a frame, and which messages of them are gone.

use super::frame;
use crate::log::{
    Record, RecordHead,
    record::{self, RecordError},
};

/// A record of a frame.
pub(super) enum Content<'a> {
    /// It is what was written.
    Whole(Record<'a>),
    /// The message is not, or cannot be read; its head is known.
    Unread(RecordHead<'a>),
}

/// Goes through records as they lie in a frame of which all heads are what was written, from the place `first` on.
pub(super) fn by_itself(
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

/// Goes through the records of a frame whose heads an index tells, whatever stands in their place: the frame's bytes, which begin
/// at `offset`. Of records without a content the head is all of it.
pub(super) fn by_index(
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
        let is_told = bytes.starts_with(&rest[..extent.head]) && record::is_whole(bytes);
        let content = match Record::decode(bytes) {
            _ if extent.head == extent.record => Content::Whole(head.record),
            Ok(record) if is_told => Content::Whole(record),
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
    use crate::log::{Target, Targets};

    /// A frame with a message between two other records, and where in it the message's content begins and ends, and the records end.
    fn sealed() -> (Vec<u8>, [usize; 3]) {
        let mut targets = Vec::new();
        Target { channel: 1, sequence: 5, expires_ms: None }.encode(&mut targets);
        let message = Record::Message {
            targets: Targets::new(&targets),
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
        Record::Settle { channel: 1, sequence: 3 }.encode(&mut frame);
        message.encode(&mut frame);
        let ends = frame.len();
        Record::Settle { channel: 1, sequence: 4 }.encode(&mut frame);
        let records_end = frame.len();
        frame::seal(&mut frame, 7, 3, 2);
        (frame, [ends - b"some headersand a body".len(), ends, records_end])
    }

    #[test]
    fn a_frame_is_told_without_a_content_that_is_another_and_never_if_anything_else_is() {
        let (frame, [content_begins, ends, records_end]) = sealed();
        assert!(frame::parse(&frame, 7).is_some());
        for bit in 0..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let told = frame::parse_but_contents(&changed, 7);
            let byte = bit / 8;
            if (content_begins..ends).contains(&byte) {
                let (head, records) = told.unwrap_or_else(|| panic!("byte {byte}"));
                let mut seen = Vec::new();
                by_itself(records, 0, |_, _, content| {
                    let unread = matches!(content, Content::Unread(head) if head.content_bytes == ends - content_begins);
                    seen.push(unread);
                })
                .unwrap();
                assert_eq!(head.number, 3);
                assert_eq!(seen, [false, true, false], "byte {byte}");
            } else if !(content_begins - 4..content_begins).contains(&byte) && byte < records_end {
                // How long the headers are counts as content: nobody believes it of a message that is another.
                assert_eq!(told, None, "byte {byte}");
            }
        }
    }
}
