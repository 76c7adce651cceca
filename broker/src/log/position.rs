//! The position of a record in a log.

/// The position of a record: 96 bits whose meaning is private to the log, ordered like the log.
///
/// The log on disk stores the use of a segment, the offset in it and the record's length. A log that is a stream of
/// batches, each in parts of 256 KiB, has room for the number of a part (48 bits: 8,000 a second for a thousand years),
/// the offset in it (18 bits) and the length (30 bits: 1 GiB). All logs share this type, because a million messages hold
/// one position each, and their holders (channels, keys) must not depend on the kind of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position([u32; 3]);

// Half of the memory budget of a message.
const _: () = assert!(size_of::<Position>() == 12);

impl Position {
    /// The start of every log.
    pub const START: Self = Self([0; 3]);

    /// A position from its parts, the most significant first.
    pub(crate) fn new(parts: [u32; 3]) -> Self {
        Self(parts)
    }

    /// The parts given to [`Self::new`]. Their meaning is private to the log. To holders of many positions they are
    /// numbers that can be packed, because neighbours have much in common.
    pub(crate) fn parts(self) -> [u32; 3] {
        self.0
    }
}

#[cfg(test)]
impl Position {
    /// A position for tests, distinguished by a number.
    pub(crate) fn for_test(number: u32) -> Self {
        Self([1, number, 1])
    }
}
