//! Positions in a stream. A batch is a run of parts, each with a number of its own there.

use crate::log::Position;

/// Bits of an offset in a part.
const OFFSET_BITS: u32 = 18;
/// Bits of a length, 1 GiB.
const LENGTH_BITS: u32 = 30;
/// Bytes of every part of a batch but its last one.
pub(super) const PART_BYTES: usize = 1 << OFFSET_BITS;
/// Bytes of the longest record.
pub(super) const RECORD_MAX: u64 = (1 << LENGTH_BITS) - 1;

/// The place of a record in a stream: 48 bits for the sequence of the part where it begins, 18 for the offset in this
/// part, 30 for the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamPlace {
    pub(super) sequence: u64,
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl StreamPlace {
    /// The start of a part.
    pub(super) fn start(sequence: u64) -> Self {
        Self { sequence, offset: 0, length: 0 }
    }

    /// A record in the batch that begins with this part.
    pub(super) fn in_batch(first: u64, offset: usize, length: usize) -> Self {
        let (sequence, offset) = (first + (offset / PART_BYTES) as u64, (offset % PART_BYTES) as u32);
        Self { sequence, offset, length: length as u32 }
    }

    /// Where the record begins in the bytes of the batch that begins with this part.
    pub(super) fn offset_from(self, first: u64) -> usize {
        (self.sequence - first) as usize * PART_BYTES + self.offset as usize
    }
}

impl From<StreamPlace> for Position {
    fn from(StreamPlace { sequence, offset, length }: StreamPlace) -> Self {
        assert!(sequence < 1 << 48 && offset < 1 << OFFSET_BITS && length < 1 << LENGTH_BITS);
        let low = u64::from(sequence as u16) << 48 | u64::from(offset) << LENGTH_BITS | u64::from(length);
        Self::new([(sequence >> 16) as u32, (low >> 32) as u32, low as u32])
    }
}

impl From<Position> for StreamPlace {
    fn from(position: Position) -> Self {
        let [high, middle, low] = position.parts();
        let low = u64::from(middle) << 32 | u64::from(low);
        Self {
            sequence: u64::from(high) << 16 | low >> 48,
            offset: (low >> LENGTH_BITS) as u32 & ((1 << OFFSET_BITS) - 1),
            length: low as u32 & ((1 << LENGTH_BITS) - 1),
        }
    }
}

#[test]
fn positions_keep_their_place_and_are_ordered_like_the_stream() {
    let sequences = [0, 1, 0xffff, 0x1_0000, (1 << 48) - 1];
    let offsets = [0, 3, 4, (1 << OFFSET_BITS) - 1];
    let mut last = None;
    for sequence in sequences {
        for offset in offsets {
            for length in [0, 16 << 20, (1 << LENGTH_BITS) - 1] {
                let place = StreamPlace { sequence, offset, length };
                let position = Position::from(place);
                assert_eq!(StreamPlace::from(position), place);
                assert!(last < Some(position));
                last = Some(position);
            }
        }
    }
}
