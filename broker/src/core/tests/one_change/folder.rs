//! Real data folders, and what was told to those who used them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use bytes::Bytes;
use restante_wire::ChannelConfig;
use tempfile::TempDir;
use uuid::Uuid;

use super::start::{Broker, Held, Name};
use crate::{
    channel::Claim,
    core::{
        Asked, Content, Delivered, Push, Release, Ticket,
        idempotency::PushKey,
        tests::{channel, is_kept},
    },
    log::disk::simulated::Chance,
    shared::Share,
};

/// What the folder is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Several segments; the broker has ended.
    Closed,
    /// The same; the broker was killed.
    Killed,
    /// Two cores, and the log of one that is not yet copied.
    TwoCores,
    /// A few messages, so that most changes meet something.
    Small,
    /// Addresses with a snapshot and a journal.
    Snapshot,
}

impl Shape {
    /// How many cores its last start had.
    pub(super) fn cores(self) -> usize {
        if self == Self::TwoCores { 2 } else { 1 }
    }
}

/// A folder, and what it holds.
pub(super) struct Folder {
    data: TempDir,
    /// What was told as stored and is to be there.
    stored: BTreeMap<Name, Vec<u8>>,
    /// Contents that were told as settled.
    settled: BTreeSet<Vec<u8>>,
    /// Those that were not.
    waiting: BTreeSet<(Uuid, Vec<u8>)>,
    /// What was promised: all of it is kept before the folder is used.
    told: Vec<Ticket>,
    pushed: u64,
}

impl Folder {
    pub(super) fn make(shape: Shape, seed: u64) -> Self {
        let mut folder = Self {
            data: temporary(),
            stored: BTreeMap::new(),
            settled: BTreeSet::new(),
            waiting: BTreeSet::new(),
            told: Vec::new(),
            pushed: 0,
        };
        let mut chance = Chance::new(seed);
        let path = folder.data.path().join("data");
        let (pushes, longest) = match shape {
            Shape::Small => (6, 200),
            Shape::Snapshot => (40, 400),
            Shape::Closed | Shape::Killed | Shape::TwoCores => (120, 4000),
        };
        let mut broker = Broker::start(&path, 1).unwrap();
        let channels: Vec<_> = ["one", "two", "three", "gone"].map(channel).into();
        broker.store.sync(channels.clone()).unwrap();
        if shape == Shape::Snapshot {
            broker.store.make_snapshot_due();
            broker.store.put(channel("four")).unwrap();
            broker.store.put(channel("five")).unwrap();
        }
        folder.use_it(&mut broker, &channels, pushes, longest, &mut chance);
        folder.delete(&mut broker, channels[3].uid);
        if shape == Shape::TwoCores {
            drop(broker);
            broker = Broker::start(&path, 2).unwrap();
            folder.use_it(&mut broker, &channels[..3], pushes / 2, longest, &mut chance);
        }
        folder.stored = folder.named(broker.found());
        if shape == Shape::Killed || shape == Shape::Small {
            // What a kill leaves: the files as they are while the broker has them.
            let left = temporary();
            copy(folder.data.path(), left.path());
            drop(broker);
            folder.data = left;
        }
        folder
    }

    /// What was told as stored, as the broker has it.
    fn named(&self, found: BTreeMap<Name, Held>) -> BTreeMap<Name, Vec<u8>> {
        let readable = found.into_iter().filter_map(|(name, held)| match held {
            Held::Readable(body) => Some((name, body)),
            Held::Unreadable => None,
        });
        let stored: BTreeMap<_, _> = readable.collect();
        let there: BTreeSet<_> = stored.iter().map(|((uid, _), body)| (*uid, body.clone())).collect();
        assert_eq!(there, self.waiting);
        stored
    }

    /// A random mixture, all of it told.
    fn use_it(
        &mut self,
        broker: &mut Broker,
        channels: &[ChannelConfig],
        pushes: u64,
        longest: u64,
        chance: &mut Chance,
    ) {
        for _ in 0..pushes {
            let index = chance.below(channels.len() as u64) as usize;
            let uid = channels[index].uid;
            self.pushed += 1;
            let number = self.pushed;
            let body = format!("{number} {}", "x".repeat(chance.below(longest) as usize));
            self.push(broker, uid, &body, number);
            self.waiting.insert((uid, body.into_bytes()));
            if chance.below(3) == 0 {
                self.take(broker, uid, chance);
            }
            if chance.below(2) == 0 {
                broker.commit();
            }
        }
        broker.commit();
        assert!(self.told.drain(..).all(|ticket| is_kept(&ticket)));
    }

    fn push(&mut self, broker: &mut Broker, uid: Uuid, body: &str, number: u64) {
        let content = Content { headers: Bytes::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        let key = number.is_multiple_of(3).then_some(PushKey { hash: u128::from(number), fingerprint: 1 });
        let push = Push { content, key, group: None, delay: None, ttl: None, recalled: Vec::new() };
        let entry = broker.store.by_uid(uid).unwrap();
        let core = broker.core_of(entry.number);
        self.told.push(core.push(&[entry], push, None).unwrap().ticket);
    }

    /// Takes a message, and settles it, gives it back, rejects it or keeps it.
    fn take(&mut self, broker: &mut Broker, uid: Uuid, chance: &mut Chance) {
        let entry = broker.store.by_uid(uid).unwrap();
        let asked = Asked { lease: 3_600_000, attempt: None, answers: Share::unbounded() };
        let core = broker.core_of(entry.number);
        let delivery = match core.pull(&entry, &asked).unwrap() {
            Delivered::Now(delivery) => delivery,
            Delivered::Again(_) => return,
            Delivered::Later(id, _) => return core.stop_waiting(entry.number, id),
        };
        let (number, claim): (u32, Claim) = (delivery.channel, delivery.granted.claim());
        let body = super::start::read(delivery.content).unwrap().content.body.to_vec();
        let ticket = match chance.below(4) {
            0 | 1 => {
                self.waiting.remove(&(uid, body.clone()));
                self.settled.insert(body);
                core.settle(number, claim)
            }
            2 => core.release(number, claim, Release { counted: true, delay: None }),
            _ => core.reject(number, claim, Some("no")),
        };
        self.told.push(ticket.unwrap());
    }

    /// Deletes a channel with all that it has.
    fn delete(&mut self, broker: &mut Broker, uid: Uuid) {
        let entry = broker.store.by_uid(uid).unwrap();
        let (_, ticket) = broker.core_of(entry.number).close(&entry, true).unwrap().unwrap();
        broker.commit();
        assert!(is_kept(&ticket));
        broker.store.remove(uid).unwrap();
        broker.core_of(entry.number).removed(entry.number);
        self.waiting.retain(|(channel, _)| *channel != uid);
    }

    pub(super) fn stored(&self) -> &BTreeMap<Name, Vec<u8>> {
        &self.stored
    }

    pub(super) fn settled(&self) -> &BTreeSet<Vec<u8>> {
        &self.settled
    }

    /// A copy, to be changed.
    pub(super) fn copy(&self) -> Copy {
        let copied = temporary();
        copy(&self.data.path().join("data"), copied.path());
        Copy(copied)
    }
}

/// A copy of a data folder.
pub(super) struct Copy(TempDir);

impl Copy {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A folder in memory, where there is one: nothing here is about the disk.
fn temporary() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

fn copy(from: &Path, to: &Path) {
    for name in super::change::files(from) {
        let to = to.join(&name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to).unwrap();
    }
}
