//! The plain messages of a channel, which make up a deep backlog. Each takes a few bytes, and no operation becomes
//! slower with their number.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chunk::{Chunk, NEVER, SPAN},
    message::Sequence,
    plain::Plain,
};
use crate::{clock::Millis, log::Position};

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The chunks that have a message, and the one that was changed last, by number. Chunk `n` begins at sequence `n` ×
    /// [`SPAN`].
    chunks: BTreeMap<u64, Box<Chunk>>,
    /// The earliest expiry of each chunk with messages that expire. The message may have left since; then the entry is
    /// too early, and is corrected when its time comes.
    expiries: BTreeSet<(Millis, u64)>,
    /// The two chunks that stay open: the last one that was changed, and the one before. Two, because new messages
    /// arrive at the end while others return, or are copied in the log, in an order of their own.
    open: [Option<u64>; 2],
    count: u64,
}

impl Backlog {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<Plain> {
        let (number, offset) = split(sequence);
        self.chunks.get(&number)?.get(offset)
    }

    /// The message that was stored first.
    pub(super) fn first(&self) -> Option<Sequence> {
        // One chunk may be empty.
        self.chunks.iter().find_map(|(number, chunk)| chunk.next(0).map(|offset| join(*number, offset)))
    }

    /// All messages from a sequence on, in order.
    pub(super) fn from(&self, first: Sequence) -> impl Iterator<Item = (Sequence, Plain)> {
        let chunks = self.chunks.range(split(first).0..);
        chunks
            .flat_map(|(number, chunk)| chunk.iter().map(|(offset, plain)| (join(*number, offset), plain)))
            .skip_while(move |(sequence, _)| *sequence < first)
    }

    /// Adds a message under a sequence that has none.
    pub(super) fn insert(&mut self, sequence: Sequence, plain: Plain) {
        let (number, offset) = split(sequence);
        self.leave_open(number);
        let chunk = self.chunks.entry(number).or_default();
        chunk.insert(offset, plain);
        if chunk.is_full() {
            chunk.pack();
        }
        let (before, expires_at) = (chunk.expires_from, plain.expires_at.unwrap_or(NEVER));
        if expires_at < before {
            self.expires_from(number, expires_at);
        }
        self.count += 1;
    }

    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Plain> {
        let (number, offset) = split(sequence);
        let chunk = self.chunks.get_mut(&number)?;
        let plain = chunk.remove(offset)?;
        self.count -= 1;
        // In a short queue, messages leave as soon as they arrive: the last chunk is kept for the next one.
        if chunk.is_empty() && self.open[0] != Some(number) {
            self.drop_chunk(number);
        }
        Some(plain)
    }

    /// Sets the new position of a body that was copied in the log. Returns the one before.
    pub(super) fn relocate(&mut self, sequence: Sequence, position: Position) -> Option<Position> {
        let (number, offset) = split(sequence);
        if self.chunks.contains_key(&number) {
            self.leave_open(number);
        }
        self.chunks.get_mut(&number)?.relocate(offset, position)
    }

    /// The earliest expiry, or an earlier time.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// The message that expired first, with the time, if one has expired.
    pub(super) fn expired(&mut self, now: Millis) -> Option<(Millis, Sequence)> {
        while let Some((at, number)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            match self.chunks.get(&number).and_then(|chunk| chunk.first_to_expire()) {
                Some((exactly, offset)) if exactly == at => return Some((at, join(number, offset))),
                later => self.expires_from(number, later.map_or(NEVER, |(exactly, _)| exactly)),
            }
        }
        None
    }

    /// Records that no message of a chunk expires before `at`.
    fn expires_from(&mut self, number: u64, at: Millis) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        let before = std::mem::replace(&mut chunk.expires_from, at);
        if before != NEVER {
            self.expiries.remove(&(before, number));
        }
        if at != NEVER {
            self.expiries.insert((at, number));
        }
    }

    /// Marks a chunk as the last one changed: it stays open, and the chunk changed longest ago is packed.
    fn leave_open(&mut self, number: u64) {
        let [last, before] = self.open;
        if last == Some(number) {
            return;
        }
        self.open = [Some(number), last];
        if let Some(chunk) =
            before.filter(|before| *before != number).and_then(|before| self.chunks.get_mut(&before))
        {
            chunk.pack();
        }
        if let Some(last) = last.filter(|last| self.chunks.get(last).is_some_and(|chunk| chunk.is_empty())) {
            self.drop_chunk(last);
        }
    }

    fn drop_chunk(&mut self, number: u64) {
        self.expires_from(number, NEVER);
        self.chunks.remove(&number);
    }
}

/// The chunk of a sequence, and the offset in it.
fn split(sequence: Sequence) -> (u64, u32) {
    (sequence / SPAN, (sequence % SPAN) as u32)
}

fn join(number: u64, offset: u32) -> Sequence {
    number * SPAN + u64::from(offset)
}
