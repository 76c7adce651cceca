//! Where in the log's files a record lies.

use crate::log::Position;

/// What a [`Position`] is to the log on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The segment's epoch. 32 bits of 64 MiB segments are 256 PiB of writes.
    pub(super) epoch: u64,
    /// Where in the segment.
    pub(super) offset: u64,
    /// Bytes of the record; none for the place where something begins.
    pub(super) length: usize,
}

impl Place {
    /// Where something begins.
    pub(super) fn start(epoch: u64, offset: u64) -> Self {
        Self { epoch, offset, length: 0 }
    }
}

impl From<Place> for Position {
    fn from(Place { epoch, offset, length }: Place) -> Self {
        Self::new([epoch as u32, offset as u32, length as u32])
    }
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        let [epoch, offset, length] = position.parts();
        Self { epoch: epoch.into(), offset: offset.into(), length: length as usize }
    }
}
