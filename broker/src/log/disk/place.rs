//! The place of a record in the log's files.

use crate::log::Position;

/// Positions whose first number has this bit set are in a segment of this log. The others are in older logs, which come
/// first. 31 bits of 64 MiB segments are 128 PiB of writes.
const OWN: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SegmentId {
    /// A segment of an older log, by its index among all of them at this start.
    Older(u32),
    /// A segment of this log, by its epoch.
    Own(u64),
}

/// The meaning of a [`Position`] in the log on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordPlace {
    pub(super) segment: SegmentId,
    pub(super) offset: u64,
    /// Bytes of the record; 0 for the place where something starts.
    pub(super) length: usize,
}

impl RecordPlace {
    /// A place where something starts.
    pub(super) fn start(segment: SegmentId, offset: u64) -> Self {
        Self { segment, offset, length: 0 }
    }

    /// A place where something starts in a segment of this log.
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
    fn older_logs_are_ordered_before_the_log_itself() {
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
