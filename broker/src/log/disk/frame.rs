//! Frames: what one group commit writes.
//!
//! A frame starts at a multiple of 8 bytes and is a head of 32 bytes and its records; all numbers are little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0–4 | length of the records, `u32` |
//! | 4–8 | crc32c over bytes 0–4, bytes 8–32 and the records |
//! | 8–16 | mark, `u64`: drawn at random for each use of a segment, and told by the segment's head |
//! | 16–24 | number of the frame, `u64`: one more than that of the frame before, over all segments |
//! | 24–32 | `synced`, `u64`: all frames with lower numbers were known to be on disk when this one was written |
//!
//! The mark keeps apart what belongs to this use of the segment from whatever an earlier use left in the same blocks. It is
//! random, and not the segment's epoch, because those blocks hold the bodies of old messages, and recovery looks for frames
//! in all of them: a sender who could guess the mark could send frames as a body, which a later start would obey.

use crate::log::record;

/// Frames start at multiples of this.
pub(super) const ALIGNMENT: u64 = 8;
/// Bytes of a frame before its records.
pub(super) const HEAD_BYTES: usize = 32;
/// Where in a frame's head the mark is.
pub(super) const MARK: std::ops::Range<usize> = 8..16;

/// What the head of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the records.
    pub(super) length: u32,
    /// The mark of this use of the segment.
    pub(super) mark: u64,
    /// The frame's number.
    pub(super) number: u64,
    /// All frames with lower numbers are on disk.
    pub(super) synced: u64,
}

impl Head {
    /// Bytes of the whole frame, with what fills it up to the next frame's start.
    pub(super) fn frame_bytes(&self) -> u64 {
        (HEAD_BYTES as u64 + u64::from(self.length)).next_multiple_of(ALIGNMENT)
    }

    fn decode(bytes: &[u8; HEAD_BYTES]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let length = u32::from_le_bytes(std::array::from_fn(|index| bytes[index]));
        Self { length, mark: u64_at(8), number: u64_at(16), synced: u64_at(24) }
    }

    /// Whether a frame of this mark may say so: no log has so many frames, and every number has one that follows.
    fn may_be(&self, mark: u64) -> bool {
        self.mark == mark && self.synced <= self.number && self.number != u64::MAX
    }

    fn encode_unsealed(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[MARK].copy_from_slice(&self.mark.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.synced.to_le_bytes());
        bytes
    }
}

fn checksum(head: &[u8], records: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[0..4]), &head[8..HEAD_BYTES]);
    crc32c::crc32c_append(crc, records)
}

/// Seals a frame whose first [`HEAD_BYTES`] were left free before its records, and fills it up to the alignment.
pub(super) fn seal(frame: &mut Vec<u8>, mark: u64, number: u64, synced: u64) {
    let length = (frame.len() - HEAD_BYTES) as u32;
    let head = Head { length, mark, number, synced }.encode_unsealed();
    let crc = checksum(&head, &frame[HEAD_BYTES..]);
    frame[..HEAD_BYTES].copy_from_slice(&head);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(ALIGNMENT as usize), 0);
}

/// Bytes of the frame that begins here, if its head is whole; nobody has checked what it says.
pub(super) fn frame_bytes(bytes: &[u8]) -> Option<u64> {
    let length = u32::from_le_bytes(*bytes.get(..HEAD_BYTES)?.first_chunk()?);
    Some((HEAD_BYTES as u64 + u64::from(length)).next_multiple_of(ALIGNMENT))
}

/// The whole frame of this mark at the start of some bytes, if there is one.
pub(super) fn parse(bytes: &[u8], mark: u64) -> Option<(Head, &[u8])> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let parsed = Head::decode(head);
    let crc = u32::from_le_bytes(std::array::from_fn(|index| head[4 + index]));
    if !parsed.may_be(mark) {
        return None;
    }
    let records = bytes.get(HEAD_BYTES..HEAD_BYTES + parsed.length as usize)?;
    (checksum(head, records) == crc).then_some((parsed, records))
}

/// The frame of this mark at the start of some bytes, if everything in it but contents of messages is what was written.
pub(super) fn parse_but_contents(bytes: &[u8], mark: u64) -> Option<(Head, &[u8])> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let parsed = Head::decode(head);
    let records = bytes.get(HEAD_BYTES..HEAD_BYTES.checked_add(parsed.length as usize)?)?;
    if !parsed.may_be(mark) {
        return None;
    }
    let (mut crc, mut at) = (checksum(head, &[]), 0);
    while at < records.len() {
        let (with_record, length) = record::checksum_as_written(crc, &records[at..])?;
        (crc, at) = (with_record, at + length);
    }
    let stored = u32::from_le_bytes(std::array::from_fn(|index| head[4 + index]));
    (crc == stored).then_some((parsed, records))
}

/// The checksum of a frame whose records come one piece after another.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    expected: u32,
    so_far: u32,
    left: u64,
    padding: u64,
    number: u64,
}

impl Sum {
    /// After a head of this mark.
    pub(super) fn begin(head: &[u8; HEAD_BYTES], mark: u64) -> Option<Self> {
        let parsed = Head::decode(head);
        let expected = u32::from_le_bytes(std::array::from_fn(|index| head[4 + index]));
        let left = u64::from(parsed.length);
        let padding = parsed.frame_bytes() - HEAD_BYTES as u64 - left;
        let (so_far, number) = (checksum(head, &[]), parsed.number);
        parsed.may_be(mark).then_some(Self { expected, so_far, left, padding, number })
    }

    /// Takes of the records what belongs to the frame; how much that was.
    pub(super) fn take(&mut self, records: &[u8]) -> usize {
        let taken = records.len().min(self.left as usize);
        self.so_far = crc32c::crc32c_append(self.so_far, &records[..taken]);
        self.left -= taken as u64;
        taken
    }

    /// Bytes of the records that have not come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Whether the frame is as it was written, once all of its records have come.
    pub(super) fn matches(&self) -> bool {
        self.expected == self.so_far
    }

    /// The frame's number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes behind the records that fill the frame up.
    pub(super) fn padding(&self) -> u64 {
        self.padding
    }
}

/// Makes the checksum match what looks like a frame, and says how long that is: for fuzzing, which would never guess one.
pub(super) fn reseal(bytes: &mut [u8]) -> Option<u64> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let records = bytes.get(HEAD_BYTES..HEAD_BYTES.checked_add(length)?)?;
    let crc = checksum(&bytes[..HEAD_BYTES], records);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    Some((HEAD_BYTES as u64 + length as u64).next_multiple_of(ALIGNMENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(records: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEAD_BYTES];
        frame.extend_from_slice(records);
        seal(&mut frame, 3, 17, 12);
        frame
    }

    #[test]
    fn a_frame_reads_as_it_was_sealed() {
        let frame = sealed(b"records");
        assert_eq!(frame.len() % 8, 0);
        let (head, records) = parse(&frame, 3).unwrap();
        assert_eq!((head.number, head.synced, head.frame_bytes()), (17, 12, frame.len() as u64));
        assert_eq!(records, b"records");
    }

    #[test]
    fn a_frame_with_one_bit_changed_is_none() {
        let frame = sealed(b"records");
        for bit in 0..(HEAD_BYTES + 7) * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&damaged, 3), None, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_of_another_mark_or_without_its_end_is_none() {
        let frame = sealed(b"records");
        assert_eq!(parse(&frame, 2), None);
        assert_eq!(parse(&frame[..HEAD_BYTES + 6], 3), None);
    }
}
