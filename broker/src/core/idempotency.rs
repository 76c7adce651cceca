//! Idempotency keys: which pushes were answered, for as long as their channel's window says.
//!
//! A key takes 24 bytes of memory: part of its hash, when it is forgotten, whose it is, and where in the log the record is that
//! tells the rest. So a key that was seen before costs a read of the log, and one that was not costs one in a billion times.

use hashbrown::HashTable;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use super::by_channel::{ByChannel, Holder};
use crate::{clock::Millis, log::Position, shared::Shared};

/// A key as it is remembered: 128 bits of SHA-256 over its scope and itself, so that nobody can find two that collide.
pub type KeyHash = u128;

/// What was pushed, in 128 bits: only its own sender could make two that collide.
pub type Fingerprint = u128;

/// A key and what is pushed under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushKey {
    /// The key.
    pub hash: KeyHash,
    /// What is pushed.
    pub fingerprint: Fingerprint,
}

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

/// The fingerprint of a message: of each of its parts, none of which can be taken for a piece of another.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    // 0 is left for what 0.1.0 did not look at.
    hash.digest128().max(1)
}

/// Tables that the keys are spread over, so that those that expired are swept out a few thousand at a time.
const SHARDS: usize = 256;
/// Keys that come between two sweeps of one table each.
const SWEEP_EVERY: usize = 64;

/// Set in a slot whose record is the key's alone. Channels' numbers are given in turn, and never so many.
const ALONE: u32 = 1 << 31;

#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    /// Whole seconds since the table's base, so that they fit; rounded up, so that no window is shorter than was said.
    expires_in_seconds: u32,
    position: Position,
    /// Whose share it counts in, and [`ALONE`].
    channel: u32,
}

/// Where a key's record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecord {
    /// The place.
    pub position: Position,
    /// Whether the record is the key's alone: then nobody needs it when the key is forgotten.
    pub alone: bool,
}

/// The keys that are still remembered.
#[derive(Debug)]
pub struct IdempotencyTable {
    shards: Vec<HashTable<Slot>>,
    /// From when the slots' seconds count.
    base: Millis,
    by_channel: ByChannel,
    since_sweep: usize,
    next_sweep: usize,
    /// When all were last swept because the table was full.
    swept_at: Millis,
    /// Records of keys alone that were forgotten, until somebody asks.
    forgotten: Vec<Position>,
}

impl IdempotencyTable {
    /// A table of as many keys as there are to share, at a start.
    pub fn new(keys: Shared<Holder>, now: Millis) -> Self {
        let shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        let by_channel = ByChannel::of(keys);
        let forgotten = Vec::new();
        Self { shards, base: now, by_channel, since_sweep: 0, next_sweep: 0, swept_at: 0, forgotten }
    }

    /// How many keys are remembered; some of them may have expired.
    pub fn count(&self) -> usize {
        self.by_channel.used() as usize
    }

    /// Whether a channel of a namespace may have one more key, once the expired ones are gone.
    pub fn has_room(&mut self, (channel, namespace): (u32, &str), now: Millis) -> bool {
        let mut has_room = self.by_channel.may_take(channel, namespace, 1);
        // A full table is looked through once a second at most: what expires in between waits.
        if !has_room && self.swept_at + 1000 <= now {
            self.swept_at = now;
            (0..SHARDS).for_each(|shard| self.sweep(shard, now));
            has_room = self.by_channel.may_take(channel, namespace, 1);
        }
        if !has_room {
            self.by_channel.count_refusal();
        }
        has_room
    }

    /// Where the records lie that may be of this key and have not expired: nearly always one or none.
    pub fn candidates(&self, hash: KeyHash, now: Millis) -> Vec<Position> {
        let (shard, tag) = place(hash);
        let slots = self.shards[shard].iter_hash(spread(tag));
        let age = self.age(now);
        slots.filter(|slot| slot.tag == tag && !slot.has_expired(age)).map(|slot| slot.position).collect()
    }

    /// Remembers a key of a channel, and where its record lies.
    pub fn insert(
        &mut self,
        hash: KeyHash,
        expires_at: Millis,
        KeyRecord { position, alone }: KeyRecord,
        (channel, namespace): (u32, &str),
        now: Millis,
    ) {
        let (shard, tag) = place(hash);
        let seconds = |base| u32::try_from(expires_at.saturating_sub(base).div_ceil(1000));
        // A window is far shorter than the seconds reach: only a base of long ago leaves no room for it.
        let expires_in_seconds = seconds(self.base).unwrap_or_else(|_| {
            self.rebase(now);
            seconds(self.base).unwrap_or(u32::MAX)
        });
        let owner = if alone { channel | ALONE } else { channel };
        let slot = Slot { tag, expires_in_seconds, position, channel: owner };
        self.shards[shard].insert_unique(spread(tag), slot, |slot| spread(slot.tag));
        self.by_channel.add(channel, namespace, 1);
        self.since_sweep += 1;
        if self.since_sweep >= SWEEP_EVERY {
            self.sweep_next(now);
        }
    }

    /// Forgets what has expired in the next of the tables.
    pub fn sweep_next(&mut self, now: Millis) {
        self.since_sweep = 0;
        self.next_sweep = (self.next_sweep + 1) % SHARDS;
        self.sweep(self.next_sweep, now);
    }

    /// Records of keys alone that were forgotten since this was last asked.
    pub fn take_forgotten(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.forgotten)
    }

    /// Whether a key is remembered by the record at this very place.
    pub fn is_at(&self, hash: KeyHash, position: Position, now: Millis) -> bool {
        self.candidates(hash, now).contains(&position)
    }

    /// A key's record was copied to another place of the log, with its message or alone.
    pub fn relocate(&mut self, hash: KeyHash, from: Position, to: KeyRecord) {
        let (shard, tag) = place(hash);
        let slot = self.shards[shard].find_mut(spread(tag), |slot| slot.tag == tag && slot.position == from);
        if let Some(slot) = slot {
            slot.position = to.position;
            slot.channel |= if to.alone { ALONE } else { 0 };
        }
    }

    /// A key is of no use any more.
    pub fn forget(&mut self, hash: KeyHash, position: Position) {
        let (shard, tag) = place(hash);
        let is_it = |slot: &Slot| slot.tag == tag && slot.position == position;
        if let Ok(found) = self.shards[shard].find_entry(spread(tag), is_it) {
            let (slot, _) = found.remove();
            self.by_channel.give_back(slot.channel, 1);
        }
    }

    /// Milliseconds since the base.
    fn age(&self, now: Millis) -> Millis {
        now.saturating_sub(self.base)
    }

    /// The slots' seconds count from now on.
    fn rebase(&mut self, now: Millis) {
        (0..SHARDS).for_each(|shard| self.sweep(shard, now));
        let seconds = self.age(now) / 1000;
        for slot in self.shards.iter_mut().flat_map(HashTable::iter_mut) {
            slot.expires_in_seconds -=
                u32::try_from(seconds).unwrap_or(u32::MAX).min(slot.expires_in_seconds);
        }
        self.base += seconds * 1000;
    }

    fn sweep(&mut self, shard: usize, now: Millis) {
        let age = self.age(now);
        let (by_channel, forgotten) = (&mut self.by_channel, &mut self.forgotten);
        self.shards[shard].retain(|slot| {
            let stays = !slot.has_expired(age);
            if !stays {
                by_channel.give_back(slot.channel & !ALONE, 1);
                forgotten.extend((slot.channel & ALONE != 0).then_some(slot.position));
            }
            stays
        });
    }
}

impl Slot {
    /// So long after the table's base.
    fn has_expired(&self, age: Millis) -> bool {
        Millis::from(self.expires_in_seconds) * 1000 <= age
    }
}

/// The shard and the tag of a key.
fn place(hash: KeyHash) -> (usize, u32) {
    ((hash >> 32) as usize % SHARDS, hash as u32)
}

/// A tag's bits over all of a table's hash: it takes its buckets from the low ones and its marks from the top.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    /// A channel of a namespace.
    const ORDERS: (u32, &str) = (1, "acme");

    fn table(max: u64) -> IdempotencyTable {
        IdempotencyTable::new(Shared::new(max, IntCounter::new("refused", "of the test").unwrap()), 0)
    }

    fn at(number: u32) -> Position {
        Position::for_test(number)
    }

    fn lies(number: u32) -> KeyRecord {
        KeyRecord { position: at(number), alone: false }
    }

    #[test]
    fn a_key_is_remembered_until_its_window_closes() {
        let mut table = table(10);
        table.insert(1, 5_000, lies(1), ORDERS, 0);
        assert_eq!(table.candidates(1, 4_999), [at(1)]);
        assert!(table.candidates(1, 5_000).is_empty());
        assert!(table.candidates(2, 0).is_empty());
        table.relocate(1, at(1), lies(2));
        assert!(table.is_at(1, at(2), 0) && !table.is_at(1, at(1), 0));
    }

    #[test]
    fn a_window_is_never_shorter_than_was_said_and_at_most_a_second_longer() {
        let mut table = table(10);
        table.insert(1, 5_001, lies(1), ORDERS, 2_500);
        assert_eq!(table.candidates(1, 5_000), [at(1)]);
        assert!(table.candidates(1, 6_000).is_empty());
    }

    #[test]
    fn keys_are_remembered_however_long_ago_the_table_was_made() {
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
        assert_eq!(table.count(), 1, "those that expired were swept out");
    }

    #[test]
    fn a_new_base_leaves_each_key_its_time() {
        let mut table = table(10);
        let far = (u64::from(u32::MAX) - 10) * 1000;
        table.insert(1, far, lies(1), ORDERS, far - 20_500);
        table.insert(2, far + 60_000, lies(2), ORDERS, far - 20_500);
        assert_eq!(table.candidates(1, far - 1), [at(1)]);
        assert_eq!(table.candidates(2, far + 59_999), [at(2)]);
        assert!(table.candidates(1, far + 1000).is_empty() && table.candidates(2, far + 61_000).is_empty());
    }

    #[test]
    fn a_full_table_has_room_again_when_windows_close() {
        let mut table = table(4);
        table.insert(1, 10_000, lies(1), ORDERS, 0);
        table.insert(2, 20_000, lies(2), ORDERS, 0);
        table.insert(3, 20_000, lies(3), ORDERS, 0);
        assert!(!table.has_room(ORDERS, 9_000));
        assert!(table.has_room(ORDERS, 10_000));
        assert_eq!(table.count(), 2);
    }

    #[test]
    fn one_channel_leaves_keys_to_others() {
        let mut table = table(1600);
        let mut fill = |of: (u32, &str)| {
            let mut keys = 0;
            while table.has_room(of, 0) {
                keys += 1;
                let hash = u128::from(of.0) << 64 | u128::from(keys as u32) << 32 | u128::from(keys as u32);
                table.insert(hash, 10_000, lies(keys as u32), of, 0);
            }
            keys
        };
        let (greedy, same_namespace, other) = (fill(ORDERS), fill((2, "acme")), fill((3, "other")));
        assert!(greedy > 1000 && same_namespace > 50 && other > 50, "{greedy}, {same_namespace}, {other}");
    }

    #[test]
    fn what_has_a_record_of_its_own_is_told_when_it_is_forgotten() {
        let mut table = table(10);
        table.insert(1, 5_000, lies(1), ORDERS, 0);
        table.insert(2, 5_000, lies(2), ORDERS, 0);
        table.relocate(2, at(2), KeyRecord { position: at(3), alone: true });
        (0..SHARDS).for_each(|_| table.sweep_next(5_000));
        assert_eq!((table.take_forgotten(), table.count()), (vec![at(3)], 0));
        assert!(table.take_forgotten().is_empty());
    }

    #[test]
    fn expired_keys_are_swept_out_as_others_come() {
        let mut table = table(u64::MAX);
        for number in 0..100_000_u32 {
            let hash = u128::from(number) << 32 | u128::from(number);
            let now = u64::from(number) * 1000;
            table.insert(hash, now + 1000, lies(number), ORDERS, now);
        }
        assert!(table.count() < 2 * SHARDS * SWEEP_EVERY, "{}", table.count());
    }

    #[test]
    fn a_key_means_something_else_at_another_address() {
        assert_ne!(hash(1, "acme/a", "k"), hash(1, "acme/b", "k"));
        assert_ne!(hash(1, "acme/a", "k"), hash(2, "acme/a", "k"));
        assert_ne!(hash(1, "acme/a", "bk"), hash(1, "acme/ab", "k"));
    }

    #[test]
    fn a_fingerprint_tells_the_parts_apart() {
        let of = |parts: &[&str]| fingerprint(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }
}
