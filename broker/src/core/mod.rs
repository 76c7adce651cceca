//! A core: the channels of one runtime thread, the log below them, and the only code that touches both.
//!
//! Every operation decides by the channel's state machine, appends what it decided to the log's open group, and returns
//! with a [`Ticket`]: no answer leaves before its group is committed, and all groups before it. Operations never wait; see [`tasks`] for what runs
//! beside the requests.

mod attempts;
mod bury;
mod by_channel;
mod channel;
mod commit;
mod contents;
mod cores;
mod cut;
mod deliver;
mod forget;
mod group;
mod handle;
pub mod idempotency;
mod ids;
mod in_flight;
mod inbox;
mod letters;
mod look;
mod mark;
mod moves;
mod named;
pub mod outbox;
mod pacer;
mod placement;
mod positions;
mod promise;
mod push;
mod reach;
mod read;
mod recall;
mod reclaim;
mod records;
mod recovery;
mod redrive;
mod redriving;
mod rest;
mod room;
mod samples;
mod settle;
mod shared;
mod size;
mod start;
mod store;
pub mod tasks;
mod time;
mod timers;
mod told;
mod under_way;
mod unreadable;
pub(crate) mod whose;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::Notify;

pub use by_channel::Holder;
pub use channel::CounterRegistry;
pub use contents::{Content, Recorded};
pub use cores::Cores;
pub use deliver::{Asked, Delivered, Delivery, PullRefusal};
pub use group::{StoreFailed, Ticket};
pub use handle::{CoreGone, CoreHandle, Jobs, WorkFailed};
pub(crate) use inbox::without_content;
pub use letters::{Return, Returned};
pub use look::{Look, Seen};
pub use placement::{CORES_MAX, Here};
pub use push::{Push, PushRefusal, Pushed};
pub use reach::Reach;
pub use read::Reading;
pub use recall::Recalled;
pub use reclaim::Progress;
pub(crate) use recovery::Replay;
pub use redrive::Redriven;
pub use redriving::Redrive;
pub use room::{Fullness, Turn, WaitRefusal};
pub use samples::Samples;
pub use settle::{Release, Renewed, SettleRefusal, bounded_lease};
pub use shared::SharedCore;
pub use size::SizeLimit;
pub use start::{Common, Found};
pub(crate) use told::Known;
pub use whose::Apart;

use crate::{
    address_store::{AddressStore, ApplyError, ChannelEntry, OpenError},
    channel::{ChannelCounters, ChannelState, LeaseSealer, Policy, WaitingReceivers, WaitingSenders},
    clock::{Clock, Millis},
    first_failure::FirstFailure,
    log::{DiskLog, GroupNumber, Log, LogError, Sync},
    metrics::Metrics,
    shared::{Share, Shared},
};
use attempts::Attempts;
use channel::Stored;
use contents::HotContents;
use group::Group;
use idempotency::{IdempotencyTable, KeyHash};
use ids::Ids;
use in_flight::InFlight;
use inbox::Inbox;
use moves::Moves;
use named::Named;
use outbox::Outbox;
use positions::SharedPositions;
use reclaim::Reclaim;
use rest::Resting;
use room::RateLimiter;
use timers::ChannelTimers;
use unreadable::Unreadable;
pub use unreadable::{ReadBack, Unread};

/// Something of each of some channels. Their numbers are the broker's own, so that nobody can choose them to collide.
type Numbered<T> = HashMap<u32, T, foldhash::fast::RandomState>;

/// How much is done for one channel before the next channel has its turn.
const EVENTS_PER_TURN: usize = 64;

/// The limits of a core; each is a flag of the broker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Receivers that may wait on one channel.
    pub waiting_receivers: usize,
    /// Senders that may wait for room in one channel.
    pub waiting_senders: usize,
    /// Idempotency keys that are remembered at a time.
    pub idempotency_keys: usize,
    /// Bytes of contents that are kept in memory for the receivers to come; others are read from the log.
    pub hot_bytes: usize,
}

/// Why a core cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be read.
    #[error("failed to start from the log: {0}")]
    Log(#[from] LogError),
    /// The log and the address store tell of different channels.
    #[error(
        "channel number {number} is {in_log} in the log and has the UID {other} in the address store: the folders 'addresses' \
         and 'log' of the data folder are not of one time; restore both from one backup, or salvage what is in the log: \
         restante-broker salvage",
        number = .0.number,
        in_log = .0.in_log,
        other = .0.other
    )]
    StoresApart(Box<Apart>),
    /// Nobody has said what becomes of a channel's messages, which is a defect.
    #[error(
        "the log has messages of channel number {0}, which is neither known nor deleted: this is a defect of Restante"
    )]
    NoOwner(u32),
    /// The log could not copy a message, and so could never give back the segment that it is in.
    #[error(
        "the log has a message of channel {channel} that takes {bytes} bytes of a segment, and segments of this start take at \
         most {longest}: start with the --segment-size that it was stored with, or a larger one"
    )]
    TooLong {
        /// The channel, or one of several, by its name.
        channel: String,
        /// Bytes that it takes.
        bytes: u64,
        /// Bytes that there are.
        longest: u64,
    },
    /// The address store cannot be made ready for changes.
    #[error(transparent)]
    AddressStore(#[from] OpenError),
    /// The address store cannot take the channels that the log has messages of.
    #[error("failed to store the channels that the log has messages of: {0}")]
    Apply(#[from] ApplyError),
    /// The system gives no random number.
    #[error("failed to draw a random number from the system: {0}")]
    Random(getrandom::Error),
}

/// What wakes the tasks beside the requests.
#[derive(Debug, Default, Clone)]
pub struct Wakers {
    /// The open group has its first record.
    pub commit: Arc<Notify>,
    /// A channel wakes earlier than any before.
    pub timer: Arc<Notify>,
    /// There is a message for another core.
    pub outbox: Arc<Notify>,
    /// Receivers wait for memory, and not for a message.
    pub memory: Arc<Notify>,
}

/// One channel of the core.
struct Channel {
    entry: Arc<ChannelEntry>,
    policy: Policy,
    rate: Option<RateLimiter>,
    state: ChannelState,
    /// A box is what they have room for while they wait.
    receivers: WaitingReceivers<Box<Delivery>, Share>,
    senders: WaitingSenders<Share>,
    attempts: Attempts,
    /// A message that was leased is not any more; for whoever may have only so many at a time.
    lease_ended: Arc<Notify>,
    counters: Arc<ChannelCounters>,
    /// When the channel wakes.
    wakes_at: Option<Millis>,
    /// Whether it is among the idle ones that are kept.
    listed_as_idle: bool,
    /// All receivers that wait lack the memory for the next message.
    lacks_memory: bool,
    /// What it has of the disk.
    disk: Stored,
    /// Its part of what is owed to all channels.
    owed: u64,
}

/// The channels of one runtime thread and their log. Whatever the log: nothing here depends on which it is.
pub struct Core<L = DiskLog> {
    log: L,
    here: Here,
    store: AddressStore,
    clock: Clock,
    /// Drawn at each start; part of every lease, so that none is issued twice.
    start: u64,
    sealer: LeaseSealer,
    limits: Limits,
    channels: Numbered<Box<Channel>>,
    resting: Resting,
    /// Channels whose deletion has begun: they take and give no message any more. Numbers are never given twice.
    closed: HashSet<u32>,
    ids: Ids,
    counters: Arc<CounterRegistry>,
    contents: HotContents,
    shared: SharedPositions,
    /// Channels that the log knows already.
    named: Named,
    idempotency: IdempotencyTable,
    /// The disk, which the channels of all cores share.
    disk: Shared<Holder>,
    /// Keys of the pushes that wait for room.
    waiting_keys: HashSet<KeyHash>,
    moves: Moves,
    outbox: Outbox,
    inbox: Inbox,
    timers: ChannelTimers,
    /// What the messages of all channels may still have to say to the log: see [`promise`].
    owed: u64,
    reclaim: Reclaim,
    marked: mark::Marked,
    /// Channels whose waiting receivers lack memory.
    lack_memory: Vec<u32>,
    /// The open group.
    group: Arc<Group>,
    /// What it promises.
    group_sync: Sync,
    /// What was written is to be synced, whether the open group has something in it or not.
    sync_wanted: bool,
    in_flight: InFlight,
    /// The newest group that the log was told to commit.
    newest_group: GroupNumber,
    /// The newest group that is synced, and with it all before.
    durable_group: GroupNumber,
    failed: bool,
    failure: FirstFailure,
    unreadable: Unreadable,
    metrics: Arc<Metrics>,
    samples: Arc<Samples>,
    wakers: Wakers,
}

impl<L: Log> Core<L> {
    /// The clock that all times of this core are by.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What wakes the tasks of this core.
    pub fn wakers(&self) -> Wakers {
        self.wakers.clone()
    }

    /// Whether the log failed; then nothing is taken or given any more.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Why the log failed, if it did.
    pub fn failure(&self) -> Option<FirstFailure> {
        self.failed.then(|| self.failure.clone())
    }

    /// The time now, unless the log failed.
    fn alive(&self) -> Result<Millis, StoreFailed> {
        if self.failed { Err(StoreFailed) } else { Ok(self.clock.now()) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
