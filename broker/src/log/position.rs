//! Where a record lies in a log.

/// Where a record lies: 96 bits that only the log itself reads, and which are ordered as the log is.
///
/// The log on disk keeps in them the use of a segment, the offset there and the record's length; a log that is a stream of
/// groups has room for the group's number in the stream (48 bits: 8,000 groups a second for a thousand years), the offset in
/// the group and the length (24 bits each). One type for all logs, because a million messages hold one each, and what holds
/// them (channels, keys) should not depend on which log is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position([u32; 3]);

// Half of what a message may cost in memory.
const _: () = assert!(size_of::<Position>() == 12);

impl Position {
    /// The beginning of every log.
    pub const START: Self = Self([0; 3]);

    /// A place of a log. Earlier parts count first in the order.
    pub(crate) fn new(parts: [u32; 3]) -> Self {
        Self(parts)
    }

    /// What [`Self::new`] was given. What the parts mean is the log's own affair; for whoever holds many positions they are
    /// numbers to be packed, of which neighbours have much in common.
    pub(crate) fn parts(self) -> [u32; 3] {
        self.0
    }
}

#[cfg(test)]
impl Position {
    /// Some place; which one is told by its number.
    pub(crate) fn for_test(number: u32) -> Self {
        Self([1, number, 1])
    }
}
