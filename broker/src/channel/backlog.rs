//! The plain messages of a channel: what makes a backlog deep. A few bytes for each, and nothing that has to be looked
//! through or moved when there are more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chunk::{Chunk, NEVER, SPAN},
    message::Sequence,
    plain::Plain,
};
use crate::{clock::Millis, log::Position};

/// All plain messages of a channel.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Those that have a message and the one that was changed last, by their number: their first sequence is that times
    /// [`SPAN`].
    chunks: BTreeMap<u64, Box<Chunk>>,
    /// When a message of a chunk expires at the earliest, of the chunks where one does. Messages that left may have been
    /// those: then it is too early, which is found when that time has come.
    expiries: BTreeSet<(Millis, u64)>,
    /// The chunks that are left open: the one that was changed last, and the one before. Two, because new messages come at
    /// the end while others come back or are copied in the log, in their own order.
    open: [Option<u64>; 2],
    count: u64,
}

impl Backlog {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The message of a sequence.
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

    /// A message comes to a sequence that has none.
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

    /// A message leaves.
    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Plain> {
        let (number, offset) = split(sequence);
        let chunk = self.chunks.get_mut(&number)?;
        let plain = chunk.remove(offset)?;
        self.count -= 1;
        // Where a queue is short, messages leave as soon as they have come: its last chunk stays for the next.
        if chunk.is_empty() && self.open[0] != Some(number) {
            self.drop_chunk(number);
        }
        Some(plain)
    }

    /// The content of a message was copied to another place of the log.
    pub(super) fn relocate(&mut self, sequence: Sequence, position: Position) {
        let (number, offset) = split(sequence);
        if self.chunks.contains_key(&number) {
            self.leave_open(number);
        }
        if let Some(chunk) = self.chunks.get_mut(&number) {
            chunk.relocate(offset, position);
        }
    }

    /// When a message expires at the earliest. It may be later.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// The message whose time is over first, if it is by now; and when it was.
    pub(super) fn expired(&mut self, now: Millis) -> Option<(Millis, Sequence)> {
        while let Some((at, number)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            match self.chunks.get(&number).and_then(|chunk| chunk.first_to_expire()) {
                Some((exactly, offset)) if exactly == at => return Some((at, join(number, offset))),
                later => self.expires_from(number, later.map_or(NEVER, |(exactly, _)| exactly)),
            }
        }
        None
    }

    /// No message of a chunk expires before this.
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

    /// A chunk is about to be changed: it stays open, and the one that was changed longest ago does not.
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

/// The chunk of a sequence, and where it is there.
fn split(sequence: Sequence) -> (u64, u32) {
    (sequence / SPAN, (sequence % SPAN) as u32)
}

fn join(number: u64, offset: u32) -> Sequence {
    number * SPAN + u64::from(offset)
}
