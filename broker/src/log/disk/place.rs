//! Where in the log's files a record lies.

use crate::log::Position;

/// Positions whose first number has this bit lie in a segment of the log itself, and the others in older logs: those come
/// first. 31 bits of 64 MiB segments are 128 PiB of writes.
const OWN: u32 = 1 << 31;

/// Which segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SegmentId {
    /// One of an older log: its place among all of them, as this start found them.
    Older(u32),
    /// One of this log, by its epoch.
    Own(u64),
}

/// What a [`Position`] is to the log on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordPlace {
    /// The segment.
    pub(super) segment: SegmentId,
    /// Where in the segment.
    pub(super) offset: u64,
    /// Bytes of the record; none for the place where something begins.
    pub(super) length: usize,
}

impl RecordPlace {
    /// Where something begins.
    pub(super) fn start(segment: SegmentId, offset: u64) -> Self {
        Self { segment, offset, length: 0 }
    }

    /// Where something begins in a segment of the log itself.
    pub(super) fn own(epoch: u64, offset: u64) -> Self {
        Self::start(SegmentId::Own(epoch), offset)
    }
}

impl From<RecordPlace> for Position {
    fn from(RecordPlace { segment, offset, length }: RecordPlace) -> Self {
        let segment = match segment {
            SegmentId::Older(index) => index,
            SegmentId::Own(epoch) => OWN | epoch as u32,
        };
        Self::new([segment, offset as u32, length as u32])
    }
}

impl From<Position> for RecordPlace {
    fn from(position: Position) -> Self {
        let [segment, offset, length] = position.parts();
        let segment = if segment & OWN == 0 {
            SegmentId::Older(segment)
        } else {
            SegmentId::Own((segment & !OWN).into())
        };
        Self { segment, offset: offset.into(), length: length as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_logs_come_before_the_log_itself() {
        let segments = [
            SegmentId::Older(0),
            SegmentId::Older(1),
            SegmentId::Older(OWN - 1),
            SegmentId::Own(1),
            SegmentId::Own(2),
        ];
        let mut last = None;
        for segment in segments {
            for offset in [0, 1 << 30] {
                let place = RecordPlace { segment, offset, length: 7 };
                let position = Position::from(place);
                assert_eq!(RecordPlace::from(position), place);
                assert!(last < Some(position) && Position::START <= position);
                last = Some(position);
            }
        }
    }
}
