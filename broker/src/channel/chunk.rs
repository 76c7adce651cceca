//! A stretch of a channel's sequences, and the plain messages that are there.

use super::plain::{PackedPlain, Plain};
use crate::{clock::Millis, log::Position};

/// Sequences of one chunk: a bit of a word each. Few under test, so that much happens at the edges.
pub(super) const SPAN: u64 = if cfg!(test) { 4 } else { 64 };
const _: () = assert!(SPAN <= u64::BITS as u64 && SPAN.is_power_of_two());

/// The expiry of a chunk whose messages stay for ever.
pub(super) const NEVER: Millis = Millis::MAX;

/// The plain messages of one stretch of sequences.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The sequences whose messages are there, a bit each.
    present: u64,
    /// The sequences that have a row, a bit each: those whose messages left meanwhile as well.
    with_row: u64,
    /// No message's time is over before this.
    pub(super) expires_from: Millis,
    rows: Rows,
}

/// What is known of the messages, in the order of their sequences.
#[derive(Debug)]
enum Rows {
    /// To be changed.
    Open(Vec<Plain>),
    /// To be kept.
    Packed(PackedPlain),
}

impl Default for Chunk {
    fn default() -> Self {
        Self { present: 0, with_row: 0, expires_from: NEVER, rows: Rows::Open(Vec::new()) }
    }
}

impl Chunk {
    /// Whether no message is left.
    pub(super) fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Whether every sequence has its message.
    pub(super) fn is_full(&self) -> bool {
        u64::from(self.present.count_ones()) == SPAN
    }

    /// The message of a sequence.
    pub(super) fn get(&self, offset: u32) -> Option<Plain> {
        self.has(offset).then(|| self.row(offset))
    }

    /// A message comes to its sequence.
    pub(super) fn insert(&mut self, offset: u32, plain: Plain) {
        match self.open(offset) {
            (rows, Ok(row)) => rows[row] = plain,
            (rows, Err(row)) => rows.insert(row, plain),
        }
        self.present |= 1 << offset;
        self.with_row |= 1 << offset;
    }

    /// A message leaves.
    pub(super) fn remove(&mut self, offset: u32) -> Option<Plain> {
        let plain = self.get(offset)?;
        self.present &= !(1 << offset);
        // Once in a while only: what is drained from its beginning need not be packed anew for each message.
        let (present, rows) = (self.present.count_ones(), self.with_row.count_ones());
        if present > 0 && present * 4 <= rows && matches!(self.rows, Rows::Packed(_)) {
            self.pack();
        }
        Some(plain)
    }

    /// The content of a message was copied to another place of the log.
    pub(super) fn relocate(&mut self, offset: u32, position: Position) {
        if self.has(offset)
            && let (rows, Ok(row)) = self.open(offset)
        {
            rows[row].stored.position = position;
        }
    }

    /// The first message at or after a sequence.
    pub(super) fn next(&self, offset: u32) -> Option<u32> {
        let rest = self.present & u64::MAX.checked_shl(offset)?;
        (rest != 0).then(|| rest.trailing_zeros())
    }

    /// The message whose time is over first, and when.
    pub(super) fn first_to_expire(&self) -> Option<(Millis, u32)> {
        self.iter().filter_map(|(offset, plain)| Some((plain.expires_at?, offset))).min()
    }

    /// All messages, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Plain)> {
        let offsets = std::iter::successors(self.next(0), |offset| self.next(offset + 1));
        offsets.map(|offset| (offset, self.row(offset)))
    }

    /// From now on it is kept, in little room.
    pub(super) fn pack(&mut self) {
        let rows: Vec<_> = self.iter().map(|(_, plain)| plain.to_row()).collect();
        (self.rows, self.with_row) = (Rows::Packed(PackedPlain::new(&rows)), self.present);
    }

    /// The rows, to be changed; and which is that of a sequence, or where it belongs.
    fn open(&mut self, offset: u32) -> (&mut Vec<Plain>, Result<usize, usize>) {
        if let Rows::Packed(_) = self.rows {
            let rows = self.iter().map(|(_, plain)| plain).collect();
            (self.rows, self.with_row) = (Rows::Open(rows), self.present);
        }
        let row = self.place(offset);
        let has_row = self.with_row & 1 << offset != 0;
        let Rows::Open(rows) = &mut self.rows else { unreachable!("it was opened") };
        (rows, if has_row { Ok(row) } else { Err(row) })
    }

    fn has(&self, offset: u32) -> bool {
        self.present & 1 << offset != 0
    }

    /// Which row is that of a sequence.
    fn place(&self, offset: u32) -> usize {
        (self.with_row & ((1 << offset) - 1)).count_ones() as usize
    }

    fn row(&self, offset: u32) -> Plain {
        match &self.rows {
            Rows::Open(rows) => rows[self.place(offset)],
            Rows::Packed(rows) => Plain::of_row(rows.row(self.place(offset))),
        }
    }
}
