//! Frames: the unit of a group commit. `docs/disk-format.md` has their bytes.
//!
//! The mark separates the frames of this use of a segment from frames of earlier uses in the same blocks. It is random,
//! not the segment's epoch, because those blocks hold the bodies of old messages and recovery searches all of them. A
//! sender who could guess the mark could send frames as a body, and a later start would apply them.

use crate::log::record;

/// Frames start at multiples of this number of bytes.
pub(super) const ALIGNMENT: u64 = 8;
/// Bytes of a frame's head.
pub(super) const HEAD_BYTES: usize = 32;
/// The range of the mark in a frame's head.
pub(super) const MARK: std::ops::Range<usize> = 8..16;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the records.
    pub(super) length: u32,
    /// The mark of this use of the segment.
    pub(super) mark: u64,
    pub(super) number: u64,
    /// All frames with lower numbers were known to be on disk.
    pub(super) synced: u64,
}

impl Head {
    /// Bytes of the whole frame with its padding.
    pub(super) fn frame_bytes(&self) -> u64 {
        (HEAD_BYTES as u64 + u64::from(self.length)).next_multiple_of(ALIGNMENT)
    }

    fn decode(bytes: &[u8; HEAD_BYTES]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let length = u32::from_le_bytes(std::array::from_fn(|index| bytes[index]));
        Self { length, mark: u64_at(8), number: u64_at(16), synced: u64_at(24) }
    }

    /// Whether a frame with this mark can have this head. The last number is invalid, because every number has a
    /// successor.
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

/// Seals a frame: fills in the head, for which [`HEAD_BYTES`] were left free, and pads the frame.
pub(super) fn seal(frame: &mut Vec<u8>, mark: u64, number: u64, synced: u64) {
    let length = (frame.len() - HEAD_BYTES) as u32;
    let head = Head { length, mark, number, synced }.encode_unsealed();
    let crc = checksum(&head, &frame[HEAD_BYTES..]);
    frame[..HEAD_BYTES].copy_from_slice(&head);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(ALIGNMENT as usize), 0);
}

/// Bytes of the frame that starts here, from its unverified head.
pub(super) fn frame_bytes(bytes: &[u8]) -> Option<u64> {
    let length = u32::from_le_bytes(*bytes.get(..HEAD_BYTES)?.first_chunk()?);
    Some((HEAD_BYTES as u64 + u64::from(length)).next_multiple_of(ALIGNMENT))
}

/// Parses the whole frame with this mark at the start of these bytes.
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

/// Parses the frame with this mark at the start of these bytes, even if contents of its messages have changed.
/// Everything else must be intact.
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

/// The checksum of a frame whose records arrive in pieces.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    expected: u32,
    so_far: u32,
    remaining: u64,
    padding: u64,
    number: u64,
}

impl Sum {
    /// Starts after a head, if it has this mark.
    pub(super) fn begin(head: &[u8; HEAD_BYTES], mark: u64) -> Option<Self> {
        let parsed = Head::decode(head);
        let expected = u32::from_le_bytes(std::array::from_fn(|index| head[4 + index]));
        let remaining = u64::from(parsed.length);
        let padding = parsed.frame_bytes() - HEAD_BYTES as u64 - remaining;
        let (so_far, number) = (checksum(head, &[]), parsed.number);
        parsed.may_be(mark).then_some(Self { expected, so_far, remaining, padding, number })
    }

    /// Adds records, up to the end of the frame. Returns the number of bytes used.
    pub(super) fn take(&mut self, records: &[u8]) -> usize {
        let taken = records.len().min(self.remaining as usize);
        self.so_far = crc32c::crc32c_append(self.so_far, &records[..taken]);
        self.remaining -= taken as u64;
        taken
    }

    /// Bytes of records that have not arrived yet.
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Whether the frame is intact, once all of its records have arrived.
    pub(super) fn matches(&self) -> bool {
        self.expected == self.so_far
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Padding bytes after the records.
    pub(super) fn padding(&self) -> u64 {
        self.padding
    }
}

/// Corrects the checksum of something that looks like a frame, and returns its length. For fuzzing, which would never
/// guess a checksum.
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
    fn a_sealed_frame_is_parsed() {
        let frame = sealed(b"records");
        assert_eq!(frame.len() % 8, 0);
        let (head, records) = parse(&frame, 3).unwrap();
        assert_eq!((head.number, head.synced, head.frame_bytes()), (17, 12, frame.len() as u64));
        assert_eq!(records, b"records");
    }

    #[test]
    fn a_frame_with_one_changed_bit_is_rejected() {
        let frame = sealed(b"records");
        for bit in 0..(HEAD_BYTES + 7) * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&damaged, 3), None, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_with_another_mark_or_without_its_end_is_rejected() {
        let frame = sealed(b"records");
        assert_eq!(parse(&frame, 2), None);
        assert_eq!(parse(&frame[..HEAD_BYTES + 6], 3), None);
    }
}
