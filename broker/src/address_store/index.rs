//! An index from a key to its channel, read without a lock.
//!
//! It has 256 shards, each an immutable table behind an [`ArcSwap`]. A change copies the shards that it touches: with a
//! million channels, a shard has four thousand pointers. A slot has the key's hash only. The key itself is in the
//! channel's entry, so an address is in memory once.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    marker::PhantomData,
    sync::Arc,
};

use arc_swap::ArcSwap;
use hashbrown::HashTable;

use super::entry::ChannelEntry;

const SHARDS: usize = 256;

/// A kind of key.
pub(super) trait Key {
    type Query<'a>: Hash + Copy;
    /// All keys of a channel.
    fn of(entry: &ChannelEntry) -> impl Iterator<Item = Self::Query<'_>>;
    /// Whether a channel has this key.
    fn matches(entry: &ChannelEntry, query: Self::Query<'_>) -> bool;
}

#[derive(Clone)]
struct Slot {
    hash: u64,
    entry: Arc<ChannelEntry>,
}

impl Slot {
    /// Whether this is the queried channel. Comparing the hashes first avoids reading entries whose tags only collide.
    fn has(&self, hash: u64, matches: impl FnOnce(&ChannelEntry) -> bool) -> bool {
        self.hash == hash && matches(&self.entry)
    }
}

type Table = HashTable<Slot>;

pub(super) struct Index<K> {
    shards: Box<[ArcSwap<Table>]>,
    hasher: RandomState,
    key: PhantomData<fn() -> K>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| ArcSwap::default()).collect();
        Self { shards, hasher: RandomState::new(), key: PhantomData }
    }
}

/// The shard of a hash. It uses bits that the shard's table uses neither for its buckets nor, at the top, for its tags.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

impl<K: Key> Index<K> {
    pub(super) fn get(&self, query: K::Query<'_>) -> Option<Arc<ChannelEntry>> {
        let hash = self.hasher.hash_one(query);
        let table = self.shards[shard_of(hash)].load();
        table
            .find(hash, |slot| slot.has(hash, |entry| K::matches(entry, query)))
            .map(|slot| Arc::clone(&slot.entry))
    }

    /// All channels with this key, by id, for an index whose keys may be shared.
    pub(super) fn get_all(&self, query: K::Query<'_>) -> Vec<Arc<ChannelEntry>> {
        let hash = self.hasher.hash_one(query);
        let table = self.shards[shard_of(hash)].load();
        let found = table.iter_hash(hash).filter(|slot| slot.has(hash, |entry| K::matches(entry, query)));
        let mut found: Vec<_> = found.map(|slot| Arc::clone(&slot.entry)).collect();
        found.sort_unstable_by_key(|entry| entry.id);
        found
    }

    /// All channels, once for each of their keys.
    pub(super) fn entries(&self) -> Vec<Arc<ChannelEntry>> {
        let tables: Vec<_> = self.shards.iter().map(ArcSwap::load).collect();
        tables.iter().flat_map(|table| table.iter().map(|slot| Arc::clone(&slot.entry))).collect()
    }

    /// Removes and adds channels. If an added channel takes over a removed channel's key, readers find one of the two
    /// at every moment. Only one writer may call this at a time.
    pub(super) fn update<'a>(
        &self,
        removed: impl Iterator<Item = &'a Arc<ChannelEntry>>,
        added: impl Iterator<Item = &'a Arc<ChannelEntry>>,
    ) {
        let mut slots: Vec<(bool, Slot)> = Vec::new();
        for (is_added, entry) in removed.map(|entry| (false, entry)).chain(added.map(|entry| (true, entry))) {
            slots.extend(K::of(entry).map(|query| {
                let hash = self.hasher.hash_one(query);
                (is_added, Slot { hash, entry: Arc::clone(entry) })
            }));
        }
        slots.sort_by_key(|(_, slot)| shard_of(slot.hash));
        for group in slots.chunk_by(|(_, one), (_, next)| shard_of(one.hash) == shard_of(next.hash)) {
            let shard = &self.shards[shard_of(group[0].1.hash)];
            let mut table = Table::clone(&shard.load());
            for (is_added, slot) in group {
                if *is_added {
                    table.insert_unique(slot.hash, slot.clone(), |slot| slot.hash);
                } else if let Ok(found) =
                    table.find_entry(slot.hash, |other| Arc::ptr_eq(&other.entry, &slot.entry))
                {
                    found.remove();
                }
            }
            shard.store(Arc::new(table));
        }
    }

    /// The address of each shard's table, to see which were replaced.
    #[cfg(test)]
    pub(super) fn tables(&self) -> Vec<*const ()> {
        self.shards.iter().map(|shard| Arc::as_ptr(&shard.load_full()).cast()).collect()
    }
}
