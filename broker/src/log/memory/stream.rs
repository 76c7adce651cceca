//! The server of the stream. It accepts a part only if it directly follows the last one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::{Bytes, BytesMut};

/// Parts that an owner may have on their way. A fence is as wide: a narrower one would let those through that an owner
/// sent before it and that arrive after it.
pub(super) const WINDOW: u64 = 16;

/// One element of the stream.
#[derive(Debug, Clone)]
pub(super) enum Element {
    /// No part of an earlier owner follows.
    Fence,
    /// A part of a batch.
    Part { owner: u64, is_first: bool, is_last: bool, bytes: Bytes },
}

/// The server's answer to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is in the stream, perhaps since an earlier attempt.
    Stored,
    /// A part before it is missing.
    Early,
    /// Another owner's element has its place.
    Taken,
    /// The server is broken.
    Failed,
}

/// A whole batch.
#[derive(Debug)]
pub(super) struct StoredBatch {
    /// The sequence of its first part.
    pub(super) first: u64,
    /// The sequence after its last part.
    pub(super) next: u64,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Default)]
struct StreamState {
    elements: BTreeMap<u64, Element>,
    last: u64,
    owners: u64,
    /// How many more parts succeed.
    good_for: Option<u64>,
    chance: u64,
}

/// The stream, which outlives its owners.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream(Arc<Mutex<StreamState>>);

impl Stream {
    fn state(&self) -> MutexGuard<'_, StreamState> {
        self.0.lock().unwrap()
    }

    /// A random number below a bound, the same sequence in each run: xorshift64* (Vigna, 2016).
    pub(super) fn chance(&self, bound: u64) -> u64 {
        let chance = &mut self.state().chance;
        *chance = (*chance).max(1);
        *chance ^= *chance >> 12;
        *chance ^= *chance << 25;
        *chance ^= *chance >> 27;
        (chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    /// Appends a fence for a new owner. Returns the number of the owner, and the last sequence.
    pub(super) fn take_over(&self) -> (u64, u64) {
        let mut state = self.state();
        for _ in 0..WINDOW {
            state.last += 1;
            let last = state.last;
            state.elements.insert(last, Element::Fence);
        }
        state.owners += 1;
        (state.owners, state.last)
    }

    /// Receives a part, perhaps again.
    pub(super) fn append(&self, sequence: u64, part: Element) -> Answer {
        let mut state = self.state();
        if let Some(Element::Part { owner: here, .. }) = state.elements.get(&sequence) {
            let is_ours = matches!(&part, Element::Part { owner, .. } if owner == here);
            return if is_ours { Answer::Stored } else { Answer::Taken };
        }
        if state.good_for == Some(0) {
            return Answer::Failed;
        }
        if sequence != state.last + 1 {
            return if sequence > state.last { Answer::Early } else { Answer::Taken };
        }
        state.good_for = state.good_for.map(|left| left - 1);
        state.last = sequence;
        state.elements.insert(sequence, part);
        Answer::Stored
    }

    /// After this number of parts, all fail.
    pub(crate) fn fail_after(&self, parts: Option<u64>) {
        self.state().good_for = parts;
    }

    /// Bytes in consecutive parts.
    pub(super) fn read(&self, sequence: u64, offset: usize, length: usize) -> Option<Bytes> {
        let state = self.state();
        let mut found = BytesMut::new();
        for sequence in sequence.. {
            if found.len() >= offset + length {
                break;
            }
            let Some(Element::Part { bytes, .. }) = state.elements.get(&sequence) else { return None };
            found.extend_from_slice(bytes);
        }
        Some(found.freeze().slice(offset..offset + length))
    }

    /// The next whole batch in a range of sequences. A batch whose last part is missing does not count.
    pub(super) fn next_batch(&self, from: u64, below: u64) -> Option<StoredBatch> {
        let state = self.state();
        let mut open: Option<(u64, BytesMut)> = None;
        for (sequence, element) in state.elements.range(from..below.max(from)) {
            let Element::Part { is_first, is_last, bytes, .. } = element else {
                open = None;
                continue;
            };
            if *is_first {
                open = Some((*sequence, BytesMut::new()));
            }
            let Some((first, all)) = &mut open else { continue };
            all.extend_from_slice(bytes);
            if *is_last {
                let bytes = std::mem::take(all).freeze();
                return Some(StoredBatch { first: *first, next: sequence + 1, bytes });
            }
        }
        None
    }

    pub(super) fn purge(&self, below: u64) {
        let mut state = self.state();
        state.elements = state.elements.split_off(&below);
    }
}
