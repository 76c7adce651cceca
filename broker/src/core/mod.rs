//! A core: the channels of one runtime thread, the log below them, and the only code that touches both.
//!
//! Every operation decides by the channel's state machine, appends what it decided to the log's open group, and returns
//! with a [`Ticket`]: no answer leaves before its group is on disk. Operations never wait; see [`tasks`] for what runs
//! beside the requests.

mod channel;
mod contents;
mod deliver;
mod group;
mod handle;
pub mod idempotency;
mod push;
mod reclaim;
mod recovery;
mod settle;
mod shared;
pub mod tasks;
mod timers;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use tokio::sync::Notify;

pub use channel::CounterRegistry;
pub use contents::Content;
pub use deliver::{Delivered, Delivery, PullRefusal};
pub use group::{StoreFailed, Ticket};
pub use handle::{CoreGone, CoreHandle, Jobs};
pub use push::{Push, PushRefusal, Pushed};
pub use settle::{Renewed, SettleRefusal, bounded_lease};
pub use shared::SharedCore;

use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, ChannelState, LeaseSealer, WaitingReceivers},
    clock::Clock,
    log::{DiskLog, LogError, OpenError, Sync},
    metrics::Metrics,
};
use contents::HotContents;
use group::Group;
use idempotency::IdempotencyTable;
use reclaim::Reclaim;
use timers::LeaseTimers;

/// The limits of a core; each is a flag of the broker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Receivers that may wait on one channel.
    pub waiting_receivers: usize,
    /// Idempotency keys that are remembered at a time.
    pub idempotency_keys: usize,
    /// Bytes of contents that are kept in memory for the receivers to come; others are read from the log.
    pub hot_bytes: usize,
}

/// Why a core cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log has messages of channels that the address store never knew.
    #[error(
        "the log has messages of channel number {0}, which the address store never gave: the folders 'addresses' and \
         'log' of the data folder are not of one time; restore both from one backup"
    )]
    StoresApart(u32),
    /// The system gives no random number.
    #[error("failed to draw a random number from the system: {0}")]
    Random(getrandom::Error),
}

/// What wakes the tasks beside the requests.
#[derive(Debug, Default, Clone)]
pub struct Wakers {
    /// The open group has its first record.
    pub commit: Arc<Notify>,
    /// A lease ends earlier than any before.
    pub timer: Arc<Notify>,
}

/// One channel of the core.
struct Channel {
    entry: Arc<ChannelEntry>,
    state: ChannelState,
    waiting: WaitingReceivers<Delivery>,
    counters: Arc<ChannelCounters>,
}

/// The channels of one runtime thread and their log.
pub struct Core {
    log: DiskLog,
    clock: Clock,
    /// Drawn at each start; part of every lease, so that none is issued twice.
    start: u64,
    sealer: LeaseSealer,
    limits: Limits,
    channels: HashMap<u32, Channel>,
    /// Channels whose deletion has begun: they take and give no message any more. Numbers are never given twice.
    closed: HashSet<u32>,
    counters: Arc<CounterRegistry>,
    contents: HotContents,
    idempotency: IdempotencyTable,
    timers: LeaseTimers,
    reclaim: Reclaim,
    group: Arc<Group>,
    /// What the open group promises.
    group_sync: Sync,
    failed: bool,
    metrics: Arc<Metrics>,
    wakers: Wakers,
}

impl Core {
    /// The clock that all times of this core are by.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What wakes the tasks of this core.
    pub fn wakers(&self) -> Wakers {
        self.wakers.clone()
    }

    /// The seal of this core's lease tokens.
    pub fn sealer(&self) -> &LeaseSealer {
        &self.sealer
    }

    /// Whether the log failed; then nothing is taken or given any more.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Writes the open group, and syncs it if it promises so; everybody who waits for it learns how it went.
    pub fn commit(&mut self) {
        if self.log.group_is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        let sync = std::mem::replace(&mut self.group_sync, Sync::Later);
        let started = Instant::now();
        let outcome = self.log.commit(sync);
        if sync == Sync::Now {
            self.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        }
        group.finish(self.survive(outcome).is_ok());
        self.show_store();
    }

    /// Shows scrapes what the log and the tables hold.
    fn show_store(&self) {
        let stats = self.log.stats();
        let sampled = &self.metrics.sampled;
        sampled.store_segments.set(stats.segments as i64);
        sampled.store_bytes.set(stats.total_bytes as i64);
        sampled.store_live_bytes.set(stats.live_bytes as i64);
        sampled.idempotency_keys.set(self.idempotency.count() as i64);
    }

    /// Syncs what was written without a sync.
    pub fn sync(&mut self) {
        let outcome = self.log.sync();
        // The failure is remembered; nobody waits for this sync.
        let _ = self.survive(outcome);
    }

    /// Whether something was written and not yet synced.
    pub fn needs_sync(&self) -> bool {
        self.log.needs_sync()
    }

    /// Bytes of the open group.
    pub fn open_bytes(&self) -> usize {
        self.log.open_bytes()
    }

    /// Takes note of a record in the open group.
    fn appended(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now {
            self.group_sync = Sync::Now;
        }
        self.wakers.commit.notify_one();
        Ticket::of(&self.group)
    }

    /// The promise of everything that was appended so far.
    fn everything_so_far(&self) -> Ticket {
        if self.log.group_is_empty() { Ticket::committed() } else { Ticket::of(&self.group) }
    }

    /// A log that failed once is never used again: the broker stops, and recovery decides.
    fn survive<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, StoreFailed> {
        outcome.map_err(|error| {
            if !self.failed {
                tracing::error!(%error, "the log failed; the broker refuses everything and stops");
            }
            self.failed = true;
            self.wakers.commit.notify_one();
            StoreFailed
        })
    }
}
