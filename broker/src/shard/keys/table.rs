//! Idempotency keys: pushes that were answered, remembered for their channel's deduplication window.
//!
//! A key takes 24 bytes of memory: a part of its hash, its expiry, its channel, and the position of the record that has
//! the rest. A repeated key therefore costs a read of the log, and a new one costs it in one of a billion cases.

use hashbrown::HashTable;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    clock::Millis,
    log::{ChannelId, Idempotency, Position},
    shard::{
        channels::channel_shares::{ChannelShares, Holder},
        facts::{RecordKeys, RecordedKey},
    },
    shared::Shared,
};

/// A remembered key: 128 bits of SHA-256 over scope and key, so that nobody can find two that collide.
pub type KeyHash = u128;

/// The pushed message, as 128 bits: only its own sender could construct two that collide.
pub type Fingerprint = u128;

/// A key and the message pushed under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushKey {
    pub hash: KeyHash,
    pub fingerprint: Fingerprint,
}

/// The hash of a key in the scope of one channel's address.
pub fn hash(channel: ChannelId, address: &str, key: &str) -> KeyHash {
    let mut digest = Sha256::new();
    digest.update(channel.0.to_le_bytes());
    // The address's length keeps "a" + "bc" apart from "ab" + "c".
    digest.update((address.len() as u32).to_le_bytes());
    digest.update(address);
    digest.update(key);
    let bytes = digest.finalize();
    u128::from_le_bytes(std::array::from_fn(|index| bytes[index]))
}

/// The fingerprint of a message's parts. The parts' lengths are included, so no part can pass for a piece of another.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest128()
}

/// Number of tables that hold the keys, so that expired keys are swept a few thousand at a time.
const TABLES: usize = 256;
/// Keys inserted between two sweeps of one table each.
const SWEEP_EVERY: usize = 64;

/// Set in a slot whose record holds only the key. Indices of holders ascend and never reach this bit.
const ALONE: u32 = 1 << 31;

#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    /// Whole seconds since the table's base, to fit in 32 bits; rounded up, so that no window is shorter than
    /// configured.
    expires_in_seconds: u32,
    position: Position,
    /// The index of the channel in whose share it counts, and [`ALONE`].
    holder: u32,
}

/// The position of a key's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecord {
    pub position: Position,
    /// Whether the record holds only the key: then it is released when the key expires.
    pub alone: bool,
}

#[derive(Debug)]
pub struct KeyTable {
    tables: Vec<HashTable<Slot>>,
    /// The time from which the slots' seconds count.
    base: Millis,
    shares: ChannelShares,
    since_sweep: usize,
    next_sweep: usize,
    /// When all tables were last swept because the limit was reached.
    swept_at: Millis,
    /// Released records of keys alone, until [`Self::take_expired_records`].
    expired_records: Vec<Position>,
    /// The latest time that a caller has named.
    now: Millis,
}

impl RecordKeys for KeyTable {
    fn record(&mut self, key: RecordedKey<'_>, copy_of: Option<Position>) -> Option<Position> {
        let RecordedKey { key: Idempotency { hash, expires_ms, .. }, holder, position, alone } = key;
        let at = KeyRecord { position, alone };
        match copy_of {
            Some(from) => self.relocate(hash, from, at),
            None => {
                self.insert(hash, expires_ms, at, holder, self.now);
                None
            }
        }
    }
}

impl KeyTable {
    /// A table for a budget of keys, created at a start.
    pub fn new(keys: Shared<Holder>, now: Millis) -> Self {
        let tables = (0..TABLES).map(|_| HashTable::new()).collect();
        let shares = ChannelShares::of(keys);
        let expired_records = Vec::new();
        Self { tables, base: now, shares, since_sweep: 0, next_sweep: 0, swept_at: 0, expired_records, now }
    }

    /// The number of remembered keys; some may have expired.
    pub fn count(&self) -> usize {
        self.shares.used() as usize
    }

    /// Whether a channel may have one more key, after expired ones were removed.
    pub fn has_room(&mut self, (channel, namespace): (ChannelId, &str), now: Millis) -> bool {
        self.now = now;
        let mut has_room = self.shares.may_take(channel, namespace, 1);
        // At the limit, all tables are swept at most once a second; a key that expires in between waits.
        if !has_room && self.swept_at + 1000 <= now {
            self.swept_at = now;
            (0..TABLES).for_each(|table| self.sweep(table, now));
            has_room = self.shares.may_take(channel, namespace, 1);
        }
        if !has_room {
            self.shares.count_refusal();
        }
        has_room
    }

    /// The positions of records that may hold this key and have not expired: nearly always one or none.
    pub fn candidates(&self, hash: KeyHash, now: Millis) -> Vec<Position> {
        let (table, tag) = locate(hash);
        let slots = self.tables[table].iter_hash(spread(tag));
        let age = self.age(now);
        slots.filter(|slot| slot.tag == tag && !slot.has_expired(age)).map(|slot| slot.position).collect()
    }

    /// Remembers a key of a channel, and the position of its record.
    pub fn insert(
        &mut self,
        hash: KeyHash,
        expires_at: Millis,
        KeyRecord { position, alone }: KeyRecord,
        (channel, namespace): (ChannelId, &str),
        now: Millis,
    ) {
        let (table, tag) = locate(hash);
        let seconds = |base| u32::try_from(expires_at.saturating_sub(base).div_ceil(1000));
        // A window is far shorter than 32 bits of seconds: only an old base leaves no room.
        let expires_in_seconds = seconds(self.base).unwrap_or_else(|_| {
            self.rebase(now);
            seconds(self.base).unwrap_or(u32::MAX)
        });
        let holder = self.shares.add(channel, namespace, 1) | if alone { ALONE } else { 0 };
        let slot = Slot { tag, expires_in_seconds, position, holder };
        self.tables[table].insert_unique(spread(tag), slot, |slot| spread(slot.tag));
        self.since_sweep += 1;
        if self.since_sweep >= SWEEP_EVERY {
            self.sweep_next(now);
        }
    }

    /// Removes the expired keys of the next table.
    pub fn sweep_next(&mut self, now: Millis) {
        self.since_sweep = 0;
        self.next_sweep = (self.next_sweep + 1) % TABLES;
        self.sweep(self.next_sweep, now);
    }

    /// Released records of keys alone since the last call.
    pub fn take_expired_records(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.expired_records)
    }

    /// Whether a key is remembered by the record at this position.
    pub fn is_at(&self, hash: KeyHash, position: Position, now: Millis) -> bool {
        self.candidates(hash, now).contains(&position)
    }

    /// A key's record was copied to another position, with its message or alone. Returns the one before, if that held
    /// only the key.
    pub fn relocate(&mut self, hash: KeyHash, from: Position, to: KeyRecord) -> Option<Position> {
        let (table, tag) = locate(hash);
        let slot =
            self.tables[table].find_mut(spread(tag), |slot| slot.tag == tag && slot.position == from)?;
        let was_alone = slot.holder & ALONE != 0;
        slot.position = to.position;
        slot.holder |= if to.alone { ALONE } else { 0 };
        was_alone.then_some(from)
    }

    pub fn remove(&mut self, hash: KeyHash, position: Position) {
        let (table, tag) = locate(hash);
        let is_it = |slot: &Slot| slot.tag == tag && slot.position == position;
        if let Ok(found) = self.tables[table].find_entry(spread(tag), is_it) {
            let (slot, _) = found.remove();
            self.shares.give_back_of(slot.holder & !ALONE, 1);
        }
    }

    /// Milliseconds since the base.
    fn age(&self, now: Millis) -> Millis {
        now.saturating_sub(self.base)
    }

    /// Sets the base to now.
    fn rebase(&mut self, now: Millis) {
        (0..TABLES).for_each(|table| self.sweep(table, now));
        let seconds = self.age(now) / 1000;
        for slot in self.tables.iter_mut().flat_map(HashTable::iter_mut) {
            slot.expires_in_seconds -=
                u32::try_from(seconds).unwrap_or(u32::MAX).min(slot.expires_in_seconds);
        }
        self.base += seconds * 1000;
    }

    fn sweep(&mut self, table: usize, now: Millis) {
        let age = self.age(now);
        let (shares, expired_records) = (&mut self.shares, &mut self.expired_records);
        self.tables[table].retain(|slot| {
            let stays = !slot.has_expired(age);
            if !stays {
                shares.give_back_of(slot.holder & !ALONE, 1);
                expired_records.extend((slot.holder & ALONE != 0).then_some(slot.position));
            }
            stays
        });
    }
}

impl Slot {
    /// Whether the key expires at or before this age.
    fn has_expired(&self, age: Millis) -> bool {
        Millis::from(self.expires_in_seconds) * 1000 <= age
    }
}

/// The table and the tag of a key.
fn locate(hash: KeyHash) -> (usize, u32) {
    ((hash >> 32) as usize % TABLES, hash as u32)
}

/// Spreads a tag's bits over a hash: the table takes buckets from the low bits and marks from the top ones.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    const ORDERS: (ChannelId, &str) = (ChannelId(1), "acme");

    fn table(max: u64) -> KeyTable {
        KeyTable::new(Shared::new(max, IntCounter::new("refused", "of the test").unwrap()), 0)
    }

    fn at(number: u32) -> Position {
        Position::for_test(number)
    }

    fn lies(number: u32) -> KeyRecord {
        KeyRecord { position: at(number), alone: false }
    }

    #[test]
    fn a_key_is_remembered_until_its_window_ends() {
        let mut table = table(10);
        table.insert(1, 5_000, lies(1), ORDERS, 0);
        assert_eq!(table.candidates(1, 4_999), [at(1)]);
        assert!(table.candidates(1, 5_000).is_empty());
        assert!(table.candidates(2, 0).is_empty());
        table.relocate(1, at(1), lies(2));
        assert!(table.is_at(1, at(2), 0) && !table.is_at(1, at(1), 0));
    }

    #[test]
    fn a_window_is_never_shorter_than_configured_and_at_most_a_second_longer() {
        let mut table = table(10);
        table.insert(1, 5_001, lies(1), ORDERS, 2_500);
        assert_eq!(table.candidates(1, 5_000), [at(1)]);
        assert!(table.candidates(1, 6_000).is_empty());
    }

    #[test]
    fn keys_are_remembered_however_old_the_table_is() {
        // 32 bits of seconds are 136 years.
        const CENTURY: Millis = 100 * 365 * 24 * 3_600_000;
        let mut table = table(10);
        let long = CENTURY + 600_000;
        table.insert(1, long, lies(1), ORDERS, CENTURY);
        for (number, now) in [(2, CENTURY + 1), (3, 2 * CENTURY), (4, 30 * CENTURY)] {
            let hash = number.into();
            table.insert(hash, now + 300_000, lies(number), ORDERS, now);
            assert_eq!(table.candidates(hash, now + 299_999), [at(number)], "at {now}");
            assert!(table.candidates(hash, now + 301_000).is_empty(), "at {now}");
        }
        assert_eq!(table.count(), 1, "expired keys were swept");
    }

    #[test]
    fn a_new_base_keeps_the_expiry_of_each_key() {
        let mut table = table(10);
        let far = (u64::from(u32::MAX) - 10) * 1000;
        table.insert(1, far, lies(1), ORDERS, far - 20_500);
        table.insert(2, far + 60_000, lies(2), ORDERS, far - 20_500);
        assert_eq!(table.candidates(1, far - 1), [at(1)]);
        assert_eq!(table.candidates(2, far + 59_999), [at(2)]);
        assert!(table.candidates(1, far + 1000).is_empty() && table.candidates(2, far + 61_000).is_empty());
    }

    #[test]
    fn a_full_table_has_room_again_when_windows_end() {
        let mut table = table(4);
        table.insert(1, 10_000, lies(1), ORDERS, 0);
        table.insert(2, 20_000, lies(2), ORDERS, 0);
        table.insert(3, 20_000, lies(3), ORDERS, 0);
        assert!(!table.has_room(ORDERS, 9_000));
        assert!(table.has_room(ORDERS, 10_000));
        assert_eq!(table.count(), 2);
    }

    #[test]
    fn one_channel_leaves_keys_for_other_channels() {
        let mut table = table(1600);
        let mut fill = |of: (ChannelId, &str)| {
            let mut keys = 0;
            while table.has_room(of, 0) {
                keys += 1;
                let hash = u128::from(of.0.0) << 64 | u128::from(keys as u32) << 32 | u128::from(keys as u32);
                table.insert(hash, 10_000, lies(keys as u32), of, 0);
            }
            keys
        };
        let (greedy, same_namespace, other) =
            (fill(ORDERS), fill((ChannelId(2), "acme")), fill((ChannelId(3), "other")));
        assert!(greedy > 1000 && same_namespace > 50 && other > 50, "{greedy}, {same_namespace}, {other}");
    }

    #[test]
    fn the_record_of_a_key_alone_is_released_when_the_key_expires() {
        let mut table = table(10);
        table.insert(1, 5_000, lies(1), ORDERS, 0);
        table.insert(2, 5_000, lies(2), ORDERS, 0);
        table.relocate(2, at(2), KeyRecord { position: at(3), alone: true });
        (0..TABLES).for_each(|_| table.sweep_next(5_000));
        assert_eq!((table.take_expired_records(), table.count()), (vec![at(3)], 0));
        assert!(table.take_expired_records().is_empty());
    }

    #[test]
    fn a_removed_key_leaves_the_share_of_its_channel_even_if_its_record_holds_only_the_key() {
        let mut table = table(10);
        table.insert(1, 5_000, KeyRecord { position: at(1), alone: true }, ORDERS, 0);
        table.remove(1, at(1));
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn expired_keys_are_swept_as_new_ones_arrive() {
        let mut table = table(u64::MAX);
        for number in 0..100_000_u32 {
            let hash = u128::from(number) << 32 | u128::from(number);
            let now = u64::from(number) * 1000;
            table.insert(hash, now + 1000, lies(number), ORDERS, now);
        }
        assert!(table.count() < 2 * TABLES * SWEEP_EVERY, "{}", table.count());
    }

    #[test]
    fn the_scope_of_a_key_is_its_address() {
        assert_ne!(hash(ChannelId(1), "acme/a", "k"), hash(ChannelId(1), "acme/b", "k"));
        assert_ne!(hash(ChannelId(1), "acme/a", "k"), hash(ChannelId(2), "acme/a", "k"));
        assert_ne!(hash(ChannelId(1), "acme/a", "bk"), hash(ChannelId(1), "acme/ab", "k"));
    }

    #[test]
    fn a_fingerprint_distinguishes_the_parts() {
        let of = |parts: &[&str]| fingerprint(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }
}
