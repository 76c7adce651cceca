//! What the server keeps: groups by number, and each is refused that does not come right after the last.

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
struct Kept {
    groups: BTreeMap<u64, Bytes>,
    last: u64,
    /// How many groups are still taken.
    good_for: Option<u64>,
    chance: u64,
}

/// The stream, which outlives its owners.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream(Arc<Mutex<Kept>>);

impl Stream {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    /// A number below a bound, the same ones in each run: xorshift64* (Vigna, 2016).
    pub(super) fn chance(&self, bound: u64) -> u64 {
        let chance = &mut self.kept().chance;
        *chance = (*chance).max(1);
        *chance ^= *chance >> 12;
        *chance ^= *chance << 25;
        *chance ^= *chance >> 27;
        (chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    /// A new owner's group of its own, with nothing in it: what an owner before has on its way does not come right after the
    /// last any more.
    pub(super) fn take_over(&self) -> u64 {
        let mut kept = self.kept();
        kept.last += 1;
        let last = kept.last;
        kept.groups.insert(last, Bytes::new());
        last
    }

    /// A group arrives.
    pub(super) fn append(&self, sequence: u64, bytes: Bytes) -> Result<(), LogError> {
        let mut kept = self.kept();
        match &mut kept.good_for {
            Some(0) => {
                let source = io::ErrorKind::ConnectionReset.into();
                return Err(LogError::Io { action: "append to", file: PathBuf::from("memory"), source });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        if sequence != kept.last + 1 {
            return Err(LogError::Fenced);
        }
        kept.last = sequence;
        kept.groups.insert(sequence, bytes);
        Ok(())
    }

    /// After so many more groups, every one fails.
    pub(crate) fn fail_after(&self, groups: Option<u64>) {
        self.kept().good_for = groups;
    }

    pub(super) fn group(&self, sequence: u64) -> Option<Bytes> {
        self.kept().groups.get(&sequence).cloned()
    }

    pub(super) fn groups(&self, sequences: Range<u64>) -> Vec<(u64, Bytes)> {
        if sequences.is_empty() {
            return Vec::new();
        }
        self.kept().groups.range(sequences).map(|(sequence, group)| (*sequence, group.clone())).collect()
    }

    pub(super) fn purge(&self, below: u64) {
        let mut kept = self.kept();
        kept.groups = kept.groups.split_off(&below);
    }
}
