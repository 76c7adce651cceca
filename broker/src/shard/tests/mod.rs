//! Tests of a shard without HTTP, on every kind of log.

mod channel_names;
mod clock;
mod copies;
mod crash;
mod dead_letter_relay;
mod failure;
mod full_disk;
mod handouts;
mod hops;
mod idle;
mod lost_addresses;
mod lost_addresses_of_shards;
mod many_shards;
mod one_change;
mod one_meaning;
mod relay;
mod restart;
mod shares;
mod slow_disk;
mod smaller_segments;
mod takeover;
mod time_over_restarts;
mod turns;
mod unreadable;
mod unreadable_once;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use restante_wire::{Address, ChannelConfig};
use tempfile::TempDir;

use super::*;
use crate::{
    address_store::ChannelEntry,
    channel::LeaseSealer,
    clock::TimeSource,
    data_folder::DataFolder,
    log::{
        Coming, Options,
        conformance::wait,
        memory::{MemoryLog, Stream},
    },
    shared::Share,
    worker::{Mailbox, MailboxDriver, Router, Shards, SharedShard, send_parcels, tasks},
};

/// The medium of a log.
pub(crate) trait Place: Default {
    type Log: Log;

    /// Opens the log after its last owner is gone.
    fn open(&self) -> Self::Log;
}

/// A folder, for the log on disk.
pub(crate) struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(TempDir::new().unwrap())
    }
}

impl Place for Folder {
    type Log = DiskLog;

    fn open(&self) -> DiskLog {
        // The smallest segments: they are sealed and reclaimed within a test.
        DiskLog::open(self.0.path(), Options { segment_bytes: 64 << 10 }).unwrap()
    }
}

impl Place for Stream {
    type Log = MemoryLog;

    fn open(&self) -> MemoryLog {
        MemoryLog::open(self)
    }
}

/// Runs a test on every kind of log.
macro_rules! on_every_log {
    ($($test:ident)*) => {
        mod on_disk {
            $(#[test]
            fn $test() {
                super::$test::<super::Folder>();
            })*
        }
        mod in_memory {
            $(#[test]
            fn $test() {
                super::$test::<super::Stream>();
            })*
        }
    };
}
use on_every_log;

/// A shard and its environment.
pub(crate) struct Bench<P: Place = Folder> {
    shard: Shard<P::Log>,
    source: TimeSource,
    store: AddressStore,
    entries: Vec<Arc<ChannelEntry>>,
    place: P,
    folder: DataFolder,
    _data: TempDir,
}

/// A shard with the handles that a broker's threads have. Nothing is committed unless a task does it.
pub(crate) struct ThreadedShard<P: Place = Folder> {
    pub(crate) shard: SharedShard<P::Log>,
    pub(crate) shards: Shards<P::Log>,
    pub(crate) reach: Router<P::Log>,
    pub(crate) store: AddressStore,
    pub(crate) folder: DataFolder,
    entries: Vec<Arc<ChannelEntry>>,
    place: P,
    jobs: Option<MailboxDriver<P::Log>>,
    _data: TempDir,
}

impl<P: Place> Bench<P> {
    pub(crate) fn new(channels: Vec<ChannelConfig>) -> Self {
        Self::by(TimeSource::system(), channels)
    }

    /// A shard on a simulated machine.
    fn by(source: TimeSource, channels: Vec<ChannelConfig>) -> Self {
        let data = TempDir::new().unwrap();
        let folder = DataFolder::open(&data.path().join("data"), Default::default()).unwrap();
        let store = AddressStore::open(&folder.addresses(), folder.store_id()).unwrap();
        let entries = store.sync(channels).unwrap().changed;
        let place = P::default();
        let shard = start(&place, &folder, &store, &source);
        Self { shard, source, store, entries, place, folder, _data: data }
    }

    pub(crate) fn threaded(self) -> ThreadedShard<P> {
        let Self { shard, store, entries, place, folder, _data, source: _ } = self;
        let shard = SharedShard::new(shard);
        let (handle, jobs) = Mailbox::new(&shard);
        let (counters, clock) = shard.with(|shard| (shard.counters.clone(), shard.clock()));
        let shards = Shards::new(vec![handle], counters, clock);
        let reach = Router::new(Placement::ALONE, shard.clone(), shards.clone());
        ThreadedShard { shard, shards, reach, store, folder, entries, place, jobs: Some(jobs), _data }
    }

    /// Kills the broker and starts it again.
    fn restart(self) -> Self {
        let Self { shard, source, store, entries, place, folder, _data } = self;
        drop(shard);
        let shard = start(&place, &folder, &store, &source);
        Self { shard, source, store, entries, place, folder, _data }
    }

    /// Pushes, once the records of the key are read.
    fn push(&mut self, channels: &[usize], mut push: Push) -> Result<Pushed, PushRefusal> {
        let entries: Vec<_> = channels.iter().map(|index| self.entries[*index].clone()).collect();
        while let Some((position, mut coming)) = self.shard.unread_key_record(&push)? {
            let came = wait(|context| Pin::new(&mut coming).poll(context)).unwrap();
            push.key_records.push((position, self.shard.finish_key_read(position, came)?));
        }
        self.shard.push(&entries, push, None)
    }

    fn pull(&mut self, channel: usize, lease: Millis) -> Option<Delivery> {
        let entry = self.entries[channel].clone();
        match self.shard.pull(&entry, &Pull { lease, attempt: None, answers: Share::unbounded() }).unwrap() {
            PullOutcome::Delivered(delivery) => Some(delivery),
            PullOutcome::Repeated(_) => None,
            PullOutcome::Waiting(id, _) => {
                self.shard.stop_waiting(entry.id, id);
                None
            }
        }
    }

    /// Commits everything, and waits for it.
    fn commit(&mut self) {
        self.shard.commit();
        wait(|context| {
            while self.shard.poll_news(context).is_ready() {
                self.shard.commit();
            }
            let is_committed = self.shard.has_failed() || !self.shard.ledger.has_to_commit();
            if is_committed && self.shard.ledger.is_idle() && self.shard.moves.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
    }

    /// The body of a message, read from the log if necessary.
    fn content(&mut self, reading: Reading) -> StoredMessage {
        match reading {
            Reading::Here(recorded) => recorded,
            Reading::Coming(coming) => self.came(coming),
            Reading::Unreadable(_) => panic!("the message is readable"),
        }
    }

    fn came(&mut self, mut coming: Coming) -> StoredMessage {
        let came = wait(|context| Pin::new(&mut coming).poll(context));
        StoredMessage::of(&came.unwrap().unwrap())
    }

    /// Redrives up to `max` dead letters of a channel to another.
    fn redrive(&mut self, from: usize, to: usize, max: u64) {
        let (entry, to) = (self.entries[from].clone(), self.entries[to].clone());
        let (mut at, mut moved, mut brought) = (0, 0, None);
        loop {
            let turn = self.shard.redrive(&entry, Some(&to), at, max - moved, brought).unwrap();
            moved += turn.moved;
            brought = turn.coming.map(|coming| self.came(coming));
            match turn.next.filter(|_| moved < max) {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    /// Reclaims all space that is worth it.
    fn reclaim(&mut self) {
        reclaim(&mut self.shard);
    }
}

/// Whether a ticket is committed.
fn is_kept(ticket: &Ticket) -> bool {
    let mut waiting = Box::pin(ticket.clone().wait());
    let outcome = waiting.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
    matches!(outcome, Poll::Ready(Ok(())))
}

fn reclaim<L: Log>(shard: &mut Shard<L>) {
    wait(|context: &mut Context<'_>| {
        loop {
            match shard.reclaim_step(context).unwrap() {
                Progress::Idle => return Poll::Ready(()),
                Progress::More => {}
                Progress::Later(pause) => shard.clock.wait(pause),
                Progress::Waiting => match shard.poll_news(context) {
                    Poll::Ready(()) => shard.commit(),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    });
}

/// Low limits.
const LIMITS: Limits =
    Limits { waiting_receivers: 10, waiting_senders: 10, idempotency_keys: 1000, hot_bytes: 10_000 };

fn start<P: Place>(
    place: &P,
    folder: &DataFolder,
    store: &AddressStore,
    source: &TimeSource,
) -> Shard<P::Log> {
    start_over(place.open(), folder, store, source).unwrap()
}

fn start_over<L: Log>(
    log: L,
    folder: &DataFolder,
    store: &AddressStore,
    source: &TimeSource,
) -> Result<Shard<L>, StartError> {
    let sealer = LeaseSealer::new(folder.lease_key().unwrap());
    let common = Common::new(store, sealer, LIMITS, Arc::new(Metrics::new().unwrap())).unwrap();
    let mut reading = Box::pin(ReplayedLog::read(log, Placement::ALONE, store));
    let mut found = vec![wait(|context| reading.as_mut().poll(context)).unwrap()];
    ReplayedLog::find_owners(&mut found, store)?;
    let clock = Clock::start(source.clone(), found[0].past());
    Shard::start(found.remove(0), common, clock)
}

fn channel(name: &str) -> ChannelConfig {
    let address = Address::new("acme", name).unwrap();
    let mut config = ChannelConfig::new(
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()),
        "acme",
        name,
        address,
    );
    config.delivery.backoff.initial_seconds = 0;
    config
}

fn message(content: &str) -> Push {
    let content = Content { headers: Bytes::new(), body: Bytes::copy_from_slice(content.as_bytes()) };
    Push { content, key: None, group: None, delay: None, ttl: None, key_records: Vec::new() }
}
