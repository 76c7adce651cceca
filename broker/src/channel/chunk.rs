//! A range of a channel's sequences, and the plain messages in it.

use super::plain::{PackedPlain, Plain};
use crate::{clock::Millis, log::Position};

/// Sequences per chunk: one bit of a word each. Few under test, to exercise the edges.
pub(super) const SPAN: u64 = if cfg!(test) { 4 } else { 64 };
const _: () = assert!(SPAN <= u64::BITS as u64 && SPAN.is_power_of_two());

/// The expiry of a chunk whose messages never expire.
pub(super) const NEVER: Millis = Millis::MAX;

#[derive(Debug)]
pub(super) struct Chunk {
    /// The sequences that have a message, one bit each.
    present: u64,
    /// The sequences that have a row, one bit each. The message of a row may have left.
    with_row: u64,
    /// No message expires before this.
    pub(super) expires_from: Millis,
    rows: Rows,
}

/// Data of the messages, in the order of their sequences.
#[derive(Debug)]
enum Rows {
    /// Rows that can be changed.
    Open(Vec<Plain>),
    /// Rows in compressed form.
    Packed(PackedPlain),
}

impl Default for Chunk {
    fn default() -> Self {
        Self { present: 0, with_row: 0, expires_from: NEVER, rows: Rows::Open(Vec::new()) }
    }
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// Whether every sequence has a message.
    pub(super) fn is_full(&self) -> bool {
        u64::from(self.present.count_ones()) == SPAN
    }

    pub(super) fn get(&self, offset: u32) -> Option<Plain> {
        self.has(offset).then(|| self.row(offset))
    }

    pub(super) fn insert(&mut self, offset: u32, plain: Plain) {
        match self.open(offset) {
            (rows, Ok(row)) => rows[row] = plain,
            (rows, Err(row)) => rows.insert(row, plain),
        }
        self.present |= 1 << offset;
        self.with_row |= 1 << offset;
    }

    pub(super) fn remove(&mut self, offset: u32) -> Option<Plain> {
        let plain = self.get(offset)?;
        self.present &= !(1 << offset);
        // Only now and then: a chunk that is drained from its beginning need not be packed again for each message.
        let (present, rows) = (self.present.count_ones(), self.with_row.count_ones());
        if present > 0 && present * 4 <= rows && matches!(self.rows, Rows::Packed(_)) {
            self.pack();
        }
        Some(plain)
    }

    /// Sets the new position of a body that was copied in the log.
    pub(super) fn relocate(&mut self, offset: u32, position: Position) -> Option<Position> {
        if self.has(offset)
            && let (rows, Ok(row)) = self.open(offset)
        {
            return Some(std::mem::replace(&mut rows[row].stored.position, position));
        }
        None
    }

    /// The first message at or after an offset.
    pub(super) fn next(&self, offset: u32) -> Option<u32> {
        let rest = self.present & u64::MAX.checked_shl(offset)?;
        (rest != 0).then(|| rest.trailing_zeros())
    }

    /// The message that expires first, and when.
    pub(super) fn first_to_expire(&self) -> Option<(Millis, u32)> {
        self.iter().filter_map(|(offset, plain)| Some((plain.expires_at?, offset))).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Plain)> {
        let offsets = std::iter::successors(self.next(0), |offset| self.next(offset + 1));
        offsets.map(|offset| (offset, self.row(offset)))
    }

    /// Compresses the rows.
    pub(super) fn pack(&mut self) {
        let rows: Vec<_> = self.iter().map(|(_, plain)| plain.to_row()).collect();
        (self.rows, self.with_row) = (Rows::Packed(PackedPlain::new(&rows)), self.present);
    }

    /// The rows, to be changed, and the row of an offset, or where to insert it.
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

    /// The index of an offset's row.
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
