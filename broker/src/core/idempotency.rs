//! Idempotency keys: which pushes were answered, for as long as their channel's window says.

use std::collections::{BTreeSet, HashMap};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Millis;

/// A key as it is remembered: 128 bits of SHA-256 over its scope and itself, so that nobody can find two that collide.
pub type KeyHash = u128;

/// The hash of a key in the scope of one channel's address.
pub fn hash(channel: u32, address: &str, key: &str) -> KeyHash {
    let mut digest = Sha256::new();
    digest.update(channel.to_le_bytes());
    // The address's length keeps "a" + "bc" apart from "ab" + "c".
    digest.update((address.len() as u32).to_le_bytes());
    digest.update(address);
    digest.update(key);
    let bytes = digest.finalize();
    u128::from_le_bytes(std::array::from_fn(|index| bytes[index]))
}

/// What is remembered of an answered push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The id that the first answer gave.
    pub id: Uuid,
    /// When the key is forgotten.
    pub expires_at: Millis,
}

/// The keys that are still remembered.
#[derive(Debug)]
pub struct IdempotencyTable {
    answered: HashMap<KeyHash, Answered>,
    by_expiry: BTreeSet<(Millis, KeyHash)>,
    max: usize,
}

impl IdempotencyTable {
    /// A table of at most `max` keys.
    pub fn new(max: usize) -> Self {
        Self { answered: HashMap::new(), by_expiry: BTreeSet::new(), max }
    }

    /// How many keys are remembered.
    pub fn count(&self) -> usize {
        self.answered.len()
    }

    /// Whether one more key would be too many, once the expired ones are gone.
    pub fn is_full(&mut self, now: Millis) -> bool {
        self.forget_expired(now);
        self.answered.len() >= self.max
    }

    /// The answer that a key got, if its window is still open.
    pub fn get(&self, hash: KeyHash, now: Millis) -> Option<Answered> {
        self.answered.get(&hash).copied().filter(|answered| answered.expires_at > now)
    }

    /// Remembers an answered push. Found twice in the log, a key keeps its later end.
    pub fn insert(&mut self, hash: KeyHash, answered: Answered) {
        if let Some(before) = self.answered.insert(hash, answered) {
            self.by_expiry.remove(&(before.expires_at, hash));
        }
        self.by_expiry.insert((answered.expires_at, hash));
    }

    /// Forgets the keys whose window has closed.
    pub fn forget_expired(&mut self, now: Millis) {
        while let Some(&(expires_at, hash)) = self.by_expiry.first() {
            if expires_at > now {
                break;
            }
            self.by_expiry.pop_first();
            self.answered.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(expires_at: Millis) -> Answered {
        Answered { id: Uuid::from_u128(u128::from(expires_at)), expires_at }
    }

    #[test]
    fn a_key_is_remembered_until_its_window_closes() {
        let mut table = IdempotencyTable::new(10);
        table.insert(1, answered(100));
        assert_eq!(table.get(1, 99), Some(answered(100)));
        assert_eq!(table.get(1, 100), None);
        table.forget_expired(100);
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn a_full_table_has_room_again_when_windows_close() {
        let mut table = IdempotencyTable::new(2);
        table.insert(1, answered(100));
        table.insert(2, answered(200));
        assert!(table.is_full(99));
        assert!(!table.is_full(100));
    }

    #[test]
    fn a_key_means_something_else_at_another_address() {
        assert_ne!(hash(1, "acme/a", "k"), hash(1, "acme/b", "k"));
        assert_ne!(hash(1, "acme/a", "k"), hash(2, "acme/a", "k"));
        assert_ne!(hash(1, "acme/a", "bk"), hash(1, "acme/ab", "k"));
    }
}
