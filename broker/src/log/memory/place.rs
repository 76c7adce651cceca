//! Positions in a stream: 48 bits for a batch's sequence, 24 for the offset in it, 24 for the length.

use crate::log::Position;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamPlace {
    pub(super) sequence: u64,
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl StreamPlace {
    /// The start of a batch.
    pub(super) fn start(sequence: u64) -> Self {
        Self { sequence, offset: 0, length: 0 }
    }
}

impl From<StreamPlace> for Position {
    fn from(StreamPlace { sequence, offset, length }: StreamPlace) -> Self {
        assert!(sequence < 1 << 48 && offset < 1 << 24 && length < 1 << 24);
        let low = (sequence as u32) << 16;
        Self::new([(sequence >> 16) as u32, low | offset >> 8, offset << 24 | length])
    }
}

impl From<Position> for StreamPlace {
    fn from(position: Position) -> Self {
        let [high, middle, low] = position.parts();
        Self {
            sequence: u64::from(high) << 16 | u64::from(middle >> 16),
            offset: (middle & 0xffff) << 8 | low >> 24,
            length: low & 0xff_ffff,
        }
    }
}

#[test]
fn positions_keep_their_place_and_are_ordered_like_the_stream() {
    let sequences = [0, 1, 0xffff, 0x1_0000, (1 << 48) - 1];
    let offsets = [0, 255, 256, (1 << 24) - 1];
    let mut last = None;
    for sequence in sequences {
        for offset in offsets {
            for length in [0, (1 << 24) - 1] {
                let place = StreamPlace { sequence, offset, length };
                let position = Position::from(place);
                assert_eq!(StreamPlace::from(position), place);
                assert!(last < Some(position));
                last = Some(position);
            }
        }
    }
}
