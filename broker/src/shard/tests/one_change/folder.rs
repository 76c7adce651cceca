//! Real data folders, and the answers that their users got.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use bytes::Bytes;
use restante_wire::ChannelConfig;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    channel::Claim,
    log::{ChannelId, disk::simulated::Chance},
    shard::{
        Content, Pull, PullOutcome, Push, Release, Ticket,
        keys::PushKey,
        tests::{
            channel, is_kept,
            one_change::start::{Broker, Held, Name},
        },
    },
    shared::Share,
};

/// Kinds of folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Several segments; the broker was shut down.
    Closed,
    /// Several segments; the broker was killed.
    Killed,
    /// Two shards, and an older log that is not copied yet.
    TwoCores,
    /// A few messages, so that most changes affect something.
    Small,
    /// An address store with a snapshot and a journal.
    Snapshot,
}

impl Shape {
    /// The number of shards at its last start.
    pub(super) fn shards(self) -> usize {
        if self == Self::TwoCores { 2 } else { 1 }
    }
}

/// A folder and its content.
pub(super) struct Folder {
    data: TempDir,
    /// Acknowledged messages that must exist.
    stored: BTreeMap<Name, Vec<u8>>,
    /// Bodies of messages that were answered as settled.
    settled: BTreeSet<Vec<u8>>,
    /// Bodies of all others.
    waiting: BTreeSet<(Uuid, Vec<u8>)>,
    /// Tickets of all answers; all are committed before the folder is used.
    tickets: Vec<Ticket>,
    pushed: u64,
}

impl Folder {
    pub(super) fn make(shape: Shape, seed: u64) -> Self {
        let mut folder = Self {
            data: temporary(),
            stored: BTreeMap::new(),
            settled: BTreeSet::new(),
            waiting: BTreeSet::new(),
            tickets: Vec::new(),
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
            // A kill leaves the files that the broker has open.
            let left = temporary();
            copy(folder.data.path(), left.path());
            drop(broker);
            folder.data = left;
        }
        folder
    }

    /// The acknowledged messages, read from the broker.
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

    /// A random mixture of operations, all of them answered.
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
        assert!(self.tickets.drain(..).all(|ticket| is_kept(&ticket)));
    }

    fn push(&mut self, broker: &mut Broker, uid: Uuid, body: &str, number: u64) {
        let content = Content { headers: Bytes::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        let key = number.is_multiple_of(3).then_some(PushKey { hash: u128::from(number), fingerprint: 1 });
        let push = Push { content, key, group: None, delay: None, ttl: None, key_records: Vec::new() };
        let entry = broker.store.by_uid(uid).unwrap();
        let shard = broker.shard_of(entry.id);
        self.tickets.push(shard.push(&[entry], push, None).unwrap().ticket);
    }

    /// Pulls a message, and settles, releases, rejects or keeps it.
    fn take(&mut self, broker: &mut Broker, uid: Uuid, chance: &mut Chance) {
        let entry = broker.store.by_uid(uid).unwrap();
        let pull = Pull { lease: 3_600_000, attempt: None, answers: Share::unbounded() };
        let shard = broker.shard_of(entry.id);
        let delivery = match shard.pull(&entry, &pull).unwrap() {
            PullOutcome::Delivered(delivery) => delivery,
            PullOutcome::Repeated(_) => return,
            PullOutcome::Waiting(id, _) => return shard.stop_waiting(entry.id, id),
        };
        let (number, claim): (ChannelId, Claim) = (delivery.channel, delivery.granted.claim());
        let body =
            crate::shard::tests::one_change::start::read(delivery.content).unwrap().content.body.to_vec();
        let ticket = match chance.below(4) {
            0 | 1 => {
                self.waiting.remove(&(uid, body.clone()));
                self.settled.insert(body);
                shard.settle(number, claim)
            }
            2 => shard.release(number, claim, Release { counted: true, delay: None }),
            _ => shard.reject(number, claim, Some("no")),
        };
        self.tickets.push(ticket.unwrap());
    }

    /// Deletes a channel with all its messages.
    fn delete(&mut self, broker: &mut Broker, uid: Uuid) {
        let entry = broker.store.by_uid(uid).unwrap();
        let (_, ticket) = broker.shard_of(entry.id).close(&entry, true).unwrap().unwrap();
        broker.commit();
        assert!(is_kept(&ticket));
        broker.store.remove(uid).unwrap();
        broker.shard_of(entry.id).removed(entry.id);
        self.waiting.retain(|(channel, _)| *channel != uid);
    }

    pub(super) fn stored(&self) -> &BTreeMap<Name, Vec<u8>> {
        &self.stored
    }

    pub(super) fn settled(&self) -> &BTreeSet<Vec<u8>> {
        &self.settled
    }

    /// A copy that can be changed.
    pub(super) fn copy(&self) -> Copy {
        let copied = temporary();
        copy(&self.data.path().join("data"), copied.path());
        Copy(copied)
    }
}

pub(super) struct Copy(TempDir);

impl Copy {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A folder in memory if possible: these tests are not about the disk.
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
