//! Damage and loss of the address store's journal: a start has every acknowledged message, in its channel or in an
//! orphan, or it refuses; and it has no message of a deleted channel.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use proptest::{prelude::*, test_runner::TestRunner};
use uuid::Uuid;

use super::*;
use crate::log::conformance::BlockingLog;

/// A few channel names, so that channels come and go under the same ones.
const NAMES: [&str; 4] = ["one", "two", "three", "four"];

#[derive(Debug, Clone, Copy)]
enum Operation {
    /// Creates the channel of this name, or changes its configuration.
    Put(usize),
    Push(usize),
    /// Pushes one message into two channels.
    PushBoth(usize, usize),
    PushWithKey(usize),
    Settle(usize),
    Delete(usize),
    Reclaim,
    Snapshot,
}

fn operation() -> impl Strategy<Value = Operation> {
    let name = || 0..NAMES.len();
    prop_oneof![
        4 => name().prop_map(Operation::Put),
        8 => name().prop_map(Operation::Push),
        2 => (name(), name()).prop_map(|(one, other)| Operation::PushBoth(one, other)),
        2 => name().prop_map(Operation::PushWithKey),
        3 => name().prop_map(Operation::Settle),
        1 => name().prop_map(Operation::Delete),
        1 => Just(Operation::Reclaim),
        1 => Just(Operation::Snapshot),
    ]
}

/// The expected messages, by the channels' UIDs, and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stored {
    messages: BTreeMap<Uuid, Vec<String>>,
    deleted: BTreeSet<Uuid>,
    keys: BTreeSet<u128>,
}

/// A broker, with the messages and keys that it has acknowledged.
struct World {
    bench: Bench<Stream>,
    of_name: BTreeMap<usize, Uuid>,
    stored: Stored,
    count: u128,
}

impl World {
    fn new() -> Self {
        let bench = Bench::new(Vec::new());
        Self { bench, of_name: BTreeMap::new(), stored: Stored::default(), count: 0 }
    }

    fn entry(&self, name: usize) -> Option<Arc<ChannelEntry>> {
        self.bench.store.by_uid(*self.of_name.get(&name)?)
    }

    fn push(&mut self, names: &[usize], key: Option<u128>) {
        let names: BTreeSet<usize> = names.iter().copied().collect();
        let entries: Vec<_> = names.into_iter().filter_map(|name| self.entry(name)).collect();
        if entries.is_empty() {
            return;
        }
        self.count += 1;
        let content = self.count.to_string();
        let key = key.map(|hash| keys::PushKey { hash, fingerprint: 1 });
        let pushed = self.bench.shard.push(&entries, Push { key, ..message(&content) }, None).unwrap();
        if pushed.replayed {
            return;
        }
        for entry in entries {
            self.stored.messages.entry(entry.config.uid).or_default().push(content.clone());
        }
    }

    fn act(&mut self, operation: Operation) {
        match operation {
            Operation::Put(name) => {
                self.count += 1;
                let uid = *self.of_name.entry(name).or_insert_with(|| Uuid::from_u128(self.count));
                let mut config = channel(NAMES[name]);
                config.uid = uid;
                // Longer than the slowest test.
                config.deduplication_window_seconds = 86_400;
                config.delivery.wait_seconds = (self.count % 20) as u32;
                self.bench.store.put(config).unwrap();
                let _ = self.stored.messages.entry(uid).or_default();
            }
            Operation::Push(name) => self.push(&[name], None),
            Operation::PushBoth(one, other) => self.push(&[one, other], None),
            Operation::PushWithKey(name) => {
                self.count += 1;
                if let Some(uid) = self.of_name.get(&name) {
                    self.stored.keys.insert(self.count << 32 | uid.as_u128());
                }
                self.push(&[name], self.of_name.get(&name).map(|uid| self.count << 32 | uid.as_u128()));
            }
            Operation::Settle(name) => {
                let Some(entry) = self.entry(name) else { return };
                let pull = Pull { lease: 60_000, attempt: None, answers: Share::unbounded() };
                if let PullOutcome::Delivered(delivery) = self.bench.shard.pull(&entry, &pull).unwrap() {
                    let _ = self.bench.shard.settle(entry.id, delivery.granted.claim()).unwrap();
                    self.stored.messages.get_mut(&entry.config.uid).unwrap().remove(0);
                }
            }
            Operation::Delete(name) => {
                let Some(entry) = self.entry(name) else { return };
                let (gone, _) = self.bench.shard.close(&entry, true).unwrap().unwrap();
                let uid = entry.config.uid;
                assert_eq!(gone as usize, self.stored.messages[&uid].len());
                self.bench.commit();
                self.bench.store.remove(uid).unwrap();
                self.of_name.remove(&name);
                self.stored.messages.remove(&uid);
                self.stored.deleted.insert(uid);
                self.stored.keys.retain(|key| *key as u32 as u128 != uid.as_u128());
            }
            Operation::Reclaim => {
                self.bench.commit();
                self.bench.reclaim();
            }
            Operation::Snapshot => self.bench.store.make_snapshot_due(),
        }
        self.bench.commit();
    }

    /// Starts with an address store in another folder.
    fn start_beside(&self, addresses: &Path) -> Option<Started> {
        let store = AddressStore::read(addresses, Uuid::nil()).ok()?;
        let shard =
            start_over(self.bench.place.open(), &self.bench.folder, &store, &self.bench.source).ok()?;
        Some(Started { shard, store })
    }
}

/// A started shard.
struct Started {
    shard: Shard<MemoryLog>,
    store: AddressStore,
}

impl Started {
    fn contents(&mut self, entry: &ChannelEntry) -> Vec<String> {
        let Some(channel) = self.shard.facts.channels.get(&entry.id) else { return Vec::new() };
        let positions: Vec<_> =
            channel.state.messages().map(|(_, message)| message.stored.position).collect();
        let read = positions.into_iter().map(|position| self.shard.ledger.log.fetched(position).unwrap());
        let text = |bytes: Bytes| String::from_utf8(StoredMessage::of(&bytes).content.body.to_vec()).unwrap();
        read.map(text).collect()
    }

    /// Checks that it has exactly the expected messages.
    fn check(mut self, stored: &Stored) {
        let mut messages = BTreeMap::new();
        for entry in self.store.channels().into_iter().chain(self.store.orphans()) {
            messages.insert(entry.config.uid, self.contents(&entry));
        }
        let mut expected = stored.messages.clone();
        // A start may have lost an empty channel, and the deletion of a channel.
        expected.retain(|_, contents| !contents.is_empty());
        messages.retain(|_, contents| !contents.is_empty());
        assert_eq!(messages, expected);
        let now = self.shard.clock.now();
        for key in &stored.keys {
            assert!(!self.shard.facts.keys.candidates(*key, now).is_empty(), "key {key:x} is lost");
        }
        for uid in &stored.deleted {
            let Some(entry) = self.store.by_uid(*uid) else { continue };
            let pushed = self.shard.push(&[entry], message("late"), None);
            assert!(matches!(pushed, Err(PushRefusal::Closed)), "{uid} was deleted");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Damages the journal, starts, and checks.
fn start_with(world: &World, journal: Option<&[u8]>) -> bool {
    let other = TempDir::new().unwrap();
    let addresses = other.path().join("addresses");
    copy(&world.bench.folder.addresses(), &addresses);
    match journal {
        Some(bytes) => std::fs::write(addresses.join("journal"), bytes).unwrap(),
        None => std::fs::remove_dir_all(&addresses).unwrap(),
    }
    let started = world.start_beside(&addresses);
    let has_started = started.is_some();
    started.into_iter().for_each(|found| found.check(&world.stored));
    has_started
}

#[test]
fn a_start_with_a_truncated_journal_has_every_message_or_refuses() {
    use Operation::{Delete, Push, PushBoth, PushWithKey, Put, Settle};
    let mut world = World::new();
    let all = [
        Put(0),
        Push(0),
        Put(1),
        PushBoth(0, 1),
        PushWithKey(1),
        Put(2),
        Push(2),
        Delete(2),
        Put(2),
        Push(2),
        PushWithKey(2),
        Settle(0),
        Put(0),
        Put(3),
        Push(3),
        Delete(3),
        Put(1),
    ];
    all.into_iter().for_each(|operation| world.act(operation));
    let journal = std::fs::read(world.bench.folder.addresses().join("journal")).unwrap();
    // Around the ends of its entries, and at some places within them.
    let begins = journal.windows(4).enumerate().filter(|(_, window)| *window == b"Rsa1").map(|(at, _)| at);
    let around = begins.flat_map(|at| [at.saturating_sub(1), at, at + 1]);
    let lengths: BTreeSet<usize> = around.chain((0..journal.len()).step_by(211)).collect();
    let started = lengths.iter().filter(|length| start_with(&world, Some(&journal[..**length]))).count();
    assert!(started > lengths.len() * 3 / 4, "{started} of {}", lengths.len());
    // The whole folder is gone.
    assert!(start_with(&world, None));
}

#[test]
fn a_start_with_a_flipped_bit_in_the_journal_has_every_message_or_refuses() {
    let config = ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() };
    let damage = prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8, any::<bool>()), 8);
    let input = (prop::collection::vec(operation(), 1..40), damage);
    let outcome = TestRunner::new(config).run(&input, |(operations, damage)| {
        let mut world = World::new();
        operations.into_iter().for_each(|operation| world.act(operation));
        let journal = std::fs::read(world.bench.folder.addresses().join("journal")).unwrap();
        prop_assert!(start_with(&world, Some(&journal)));
        for (at, bit, is_cut) in damage {
            let at = at.index(journal.len());
            let mut bytes = journal.clone();
            if is_cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            start_with(&world, Some(&bytes));
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn beside_an_address_store_of_other_channels_the_channels_of_the_log_are_orphans() {
    let mut world = World::new();
    world.act(Operation::Put(0));
    world.act(Operation::Push(0));
    let folder = TempDir::new().unwrap();
    let other = AddressStore::open(folder.path(), Uuid::nil()).unwrap();
    other.put(channel("another")).unwrap();
    drop(other);
    let store = AddressStore::read(folder.path(), Uuid::nil()).unwrap();
    start_over(world.bench.place.open(), &world.bench.folder, &store, &world.bench.source).unwrap();
    let orphans: Vec<_> = store.orphans().iter().map(|entry| entry.config.qualified_name()).collect();
    assert_eq!(orphans, ["acme/one"]);
    assert!(store.by_name("acme", "another").is_some());
}

/// A channel with a message and a key was deleted; returns the address store from before, and the log with the
/// deletion.
fn deleted_in_the_log_only() -> (World, TempDir, AddressStore, Arc<ChannelEntry>) {
    let mut world = World::new();
    for operation in [Operation::Put(0), Operation::Push(0), Operation::PushWithKey(0)] {
        world.act(operation);
    }
    let before = TempDir::new().unwrap();
    copy(&world.bench.folder.addresses(), before.path());
    world.act(Operation::Delete(0));
    let store = AddressStore::read(before.path(), Uuid::nil()).unwrap();
    let entry = store.by_name("acme", "one").unwrap();
    (world, before, store, entry)
}

impl World {
    fn start_over(&self, store: AddressStore) -> Started {
        let shard = start_over(self.bench.place.open(), &self.bench.folder, &store, &self.bench.source);
        Started { shard: shard.unwrap(), store }
    }
}

#[test]
fn a_start_completes_a_deletion_that_is_only_in_the_log() {
    let (world, before, store, entry) = deleted_in_the_log_only();
    let found = world.start_over(store);
    assert_eq!((found.store.by_uid(entry.config.uid), found.shard.facts.keys.count()), (None, 0));
    assert!(matches!(found.store.put(entry.config.clone()), Err(ApplyError::Deleted { .. })));
    found.check(&world.stored);
    // It is written down, once.
    let written = std::fs::read(before.path().join("journal")).unwrap();
    let store = AddressStore::read(before.path(), Uuid::nil()).unwrap();
    assert!(store.is_deleted(entry.config.uid));
    world.start_over(store).check(&world.stored);
    assert_eq!(std::fs::read(before.path().join("journal")).unwrap(), written);
}

#[test]
fn without_room_a_channel_whose_deletion_is_only_in_the_log_exists_and_accepts_nothing() {
    let (world, before, store, entry) = deleted_in_the_log_only();
    store.fill_disk();
    let mut found = world.start_over(store);
    assert!(found.store.by_uid(entry.config.uid).is_some());
    assert!(matches!(
        found.shard.push(std::slice::from_ref(&entry), message("late"), None),
        Err(PushRefusal::Closed)
    ));
    assert_eq!(found.shard.facts.keys.count(), 0);
    let (gone, _) = found.shard.close(&entry, false).unwrap().unwrap();
    assert_eq!(gone, 0);
    found.check(&world.stored);
    // The next start has room.
    let store = AddressStore::read(before.path(), Uuid::nil()).unwrap();
    let found = world.start_over(store);
    assert_eq!(found.store.by_uid(entry.config.uid), None);
    found.check(&world.stored);
}

#[test]
fn without_room_a_channel_with_a_successor_of_its_name_accepts_nothing() {
    let mut world = World::new();
    let first = restante_crds::manifest::uid("acme", "one");
    let second = Uuid::from_u128(first.as_u128() + 1);
    let put = |world: &World, uid| world.bench.store.put(ChannelConfig { uid, ..channel("one") }).unwrap();
    put(&world, first);
    let before = TempDir::new().unwrap();
    copy(&world.bench.folder.addresses(), before.path());
    world.bench.store.remove(first).unwrap();
    put(&world, second);
    world.of_name.insert(0, second);
    world.stored.messages.insert(second, Vec::new());
    world.act(Operation::Push(0));
    world.act(Operation::Settle(0));
    let store = AddressStore::read(before.path(), Uuid::nil()).unwrap();
    let entry = store.by_uid(first).unwrap();
    store.fill_disk();
    let mut found = world.start_over(store);
    assert!(matches!(found.shard.push(&[entry], message("late"), None), Err(PushRefusal::Closed)));
    // The next start has room.
    let found = world.start_over(AddressStore::read(before.path(), Uuid::nil()).unwrap());
    assert_eq!((found.store.by_uid(first), found.store.is_deleted(first)), (None, true));
}
