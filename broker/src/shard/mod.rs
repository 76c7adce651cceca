//! A shard: the channels of one worker thread, the log below them, and the only code that touches both.
//!
//! Every operation decides by the channel's state machine, appends its decision to the log's open commit batch, and
//! returns a [`Ticket`]. No answer is sent before its batch, and all batches before it, are committed. Operations never
//! wait; `worker/` has the threads, and the work beside the requests.

mod channels;
mod commit;
mod contents;
mod dead_letter;
mod dead_letter_return;
mod deliver;
mod facts;
mod gone;
mod handout;
mod ids;
pub mod keys;
mod ledger;
pub(crate) mod ownership;
mod pacer;
mod peek;
mod pending_moves;
mod placement;
mod push;
mod reclaim;
mod redrive;
pub(crate) mod relay;
mod settle;
mod start;
mod time;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::Notify;

pub use channels::{CounterRegistry, Fullness, Holder, SenderTurn, SizeLimit};
pub use dead_letter_return::{ReturnRequest, ReturnTurn};
pub use deliver::{Delivery, Pull, PullOutcome, PullRefusal};
pub(crate) use facts::{KnownUids, Replay};
pub use gone::{ShardGone, WorkFailed};
pub use handout::Handout;
pub(crate) use handout::ReturnQueue;
pub use keys::KeyRecords;
pub use ledger::{ReadBack, Reading, Samples, StoreFailed, Ticket, UnreadableMessage};
pub use peek::{PeekOutcome, PeekedMessage};
pub use placement::{Placement, SHARDS_MAX};
pub(crate) use push::Undecided;
pub use push::{Push, PushRefusal, Pushed};
pub use reclaim::Progress;
pub use redrive::RedriveTurn;
pub(crate) use relay::residual_records;
pub use settle::{Release, Renewed, SettleRefusal, bounded_lease};
pub use start::{Common, ReplayedLog};

use crate::{
    address_store::{AddressStore, ApplyError, OpenError},
    channel::LeaseSealer,
    clock::{Clock, Millis},
    first_failure::FirstFailure,
    log::{ChannelId, DiskLog, Log, LogError},
    message::{Content, StoredMessage},
    metrics::Metrics,
    shared::Shared,
};
use channels::{
    ChannelTimers, IdleChannels,
    live::{Channel, Live, Serving},
};
use contents::HotContents;
use facts::Facts;
use handout::Handouts;
use ids::Ids;
use keys::KeyHash;
use ledger::Ledger;
use pending_moves::PendingMoves;
use reclaim::Reclaim;
use relay::OutgoingParcels;

/// A map by channel id. Its hashes are seeded at each start, so nobody can choose UIDs that collide.
type PerChannel<T> = HashMap<ChannelId, T, foldhash::fast::RandomState>;

/// Events of one channel that are processed before the next channel has its turn.
const EVENTS_PER_TURN: usize = 64;

/// The limits of a shard; each is a flag of the broker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum of waiting receivers on one channel.
    pub waiting_receivers: usize,
    /// Maximum of senders that wait for room in one channel.
    pub waiting_senders: usize,
    /// Maximum of remembered idempotency keys.
    pub idempotency_keys: usize,
    /// Bytes of message bodies kept in memory for the next receivers; others are read from the log.
    pub hot_bytes: usize,
}

/// Why a shard cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("failed to start from the log: {0}")]
    Log(#[from] LogError),
    /// A channel id without an owner is left after orphans were made; a defect.
    #[error(
        "the log has messages of channel id {0}, which is neither known nor deleted; this is a bug in Restante"
    )]
    NoOwner(ChannelId),
    /// The log could not copy a message, and so could never free its segment.
    #[error(
        "a message of channel {channel} exceeds the limit of a segment: {bytes} bytes, at most {longest} with this \
         --segment-size; start with the size that it was stored with, or a larger one"
    )]
    TooLong {
        /// The name of the channel, or of one of several.
        channel: String,
        /// Bytes of the record.
        bytes: u64,
        /// The limit, in bytes.
        longest: u64,
    },
    #[error(transparent)]
    AddressStore(#[from] OpenError),
    /// The address store cannot adopt the orphans of the log.
    #[error("failed to store orphan channels of the log: {0}")]
    Apply(#[from] ApplyError),
    #[error("failed to draw a random number from the system: {0}")]
    Random(getrandom::Error),
}

/// Wakes the tasks beside the requests.
#[derive(Debug, Default, Clone)]
pub struct Wakers {
    /// The open batch has its first record.
    pub commit: Arc<Notify>,
    /// A channel's timer is the new earliest.
    pub timer: Arc<Notify>,
    /// A parcel for another shard is waiting.
    pub relay: Arc<Notify>,
    /// Receivers wait for memory rather than for a message.
    pub memory: Arc<Notify>,
}

/// The channels of one worker and their log. Nothing here depends on the kind of log.
pub struct Shard<L = DiskLog> {
    ledger: Ledger<L>,
    here: Placement,
    store: AddressStore,
    clock: Clock,
    /// Drawn at each start and part of every lease, so that no lease is issued twice.
    start: u64,
    sealer: LeaseSealer,
    limits: Limits,
    /// What the log decides.
    facts: Facts<Serving>,
    idle: IdleChannels,
    ids: Ids,
    counters: Arc<CounterRegistry>,
    contents: HotContents,
    /// The disk, which the channels of all shards share.
    disk: Shared<Holder>,
    /// Keys of pushes that wait for room.
    waiting_keys: HashSet<KeyHash>,
    moves: PendingMoves,
    outgoing: OutgoingParcels,
    timers: ChannelTimers,
    reclaim: Reclaim,
    /// Channels whose waiting receivers lack memory.
    lack_memory: Vec<ChannelId>,
    handouts: Handouts,
    metrics: Arc<Metrics>,
    samples: Arc<Samples>,
    wakers: Wakers,
}

impl<L: Log> Shard<L> {
    /// The clock of all times in this shard.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The wakers of this shard's tasks.
    pub fn wakers(&self) -> Wakers {
        self.wakers.clone()
    }

    /// Whether the log failed. Then the shard accepts and delivers nothing.
    pub fn has_failed(&self) -> bool {
        self.ledger.has_failed()
    }

    /// Why the log failed, if it did.
    pub fn failure(&self) -> Option<FirstFailure> {
        self.ledger.failure()
    }

    /// The time now, unless the log failed.
    fn alive(&self) -> Result<Millis, StoreFailed> {
        if self.has_failed() { Err(StoreFailed) } else { Ok(self.clock.now()) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
