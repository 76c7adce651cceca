//! The server of the stream. It accepts a batch only if it directly follows the last one.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use crate::log::LogError;

#[derive(Debug, Default)]
struct StreamState {
    batches: BTreeMap<u64, Bytes>,
    last: u64,
    /// How many more batches succeed.
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

    /// Appends an empty batch for a new owner. Batches of the previous owner that are still in flight no longer follow
    /// the last one, and are rejected.
    pub(super) fn take_over(&self) -> u64 {
        let mut state = self.state();
        state.last += 1;
        let last = state.last;
        state.batches.insert(last, Bytes::new());
        last
    }

    /// Receives a batch.
    pub(super) fn append(&self, sequence: u64, bytes: Bytes) -> Result<(), LogError> {
        let mut state = self.state();
        match &mut state.good_for {
            Some(0) => {
                let source = io::ErrorKind::ConnectionReset.into();
                return Err(LogError::Io { action: "append to", file: PathBuf::from("memory"), source });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        if sequence != state.last + 1 {
            return Err(LogError::Fenced);
        }
        state.last = sequence;
        state.batches.insert(sequence, bytes);
        Ok(())
    }

    /// After this number of batches, all fail.
    pub(crate) fn fail_after(&self, batches: Option<u64>) {
        self.state().good_for = batches;
    }

    pub(super) fn batch(&self, sequence: u64) -> Option<Bytes> {
        self.state().batches.get(&sequence).cloned()
    }

    pub(super) fn batches(&self, sequences: Range<u64>) -> Vec<(u64, Bytes)> {
        if sequences.is_empty() {
            return Vec::new();
        }
        self.state().batches.range(sequences).map(|(sequence, batch)| (*sequence, batch.clone())).collect()
    }

    pub(super) fn purge(&self, below: u64) {
        let mut state = self.state();
        state.batches = state.batches.split_off(&below);
    }
}
