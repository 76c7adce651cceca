//! At start: the channels as the log's records say they were.
//!
//! A record may come after others that it precedes in time, because what is live in the oldest segment is copied to the
//! newest before the oldest is freed. So a lease may come before its message: it is kept until the message comes. A
//! settle never does: copies are made of live messages only.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Channel, Core, CounterRegistry, Limits, StartError,
    contents::HotContents,
    idempotency::{Answered, IdempotencyTable},
    reclaim::Reclaim,
    timers::{LeaseEnd, LeaseTimers},
};
use crate::{
    address_store::AddressStore,
    channel::{
        ChannelState, LeaseSealer, Stored,
        lease::Ended,
        state::{Handouts, Message, Phase, Sequence},
    },
    clock::{Clock, Millis},
    data_folder::DataFolder,
    log::{DiskLog, Options, Position, Record, Sync},
    metrics::Metrics,
};

/// What the log says of one message's leases.
#[derive(Debug, Clone, Copy, Default)]
struct Leases {
    handouts: Handouts,
    ends_at: Millis,
    released: bool,
}

/// Collects the log's records, in the order in which they lie there.
#[derive(Debug, Default)]
pub(super) struct Replay {
    channels: HashMap<u32, ChannelState>,
    leases: HashMap<(u32, Sequence), Leases>,
    keys: HashMap<u128, Answered>,
    /// Records of messages that are gone, or that lie elsewhere as well.
    dead: Vec<Position>,
    newest: Millis,
}

impl Replay {
    /// One more record.
    pub(super) fn record(&mut self, position: Position, record: &Record<'_>) {
        match *record {
            Record::Push { channel, sequence, message_id, enqueued_ms, idempotency, headers, body } => {
                let id = Uuid::from_u128(message_id);
                if let Some(key) = idempotency {
                    self.keys.insert(key.hash, Answered { id, expires_at: key.expires_ms });
                }
                self.newest = self.newest.max(enqueued_ms);
                let bytes = (headers.len() + body.len()) as u32;
                let stored = Stored { position, bytes, enqueued_at: enqueued_ms, id };
                let message = Message { stored, handouts: Handouts::default(), phase: Phase::Ready(None) };
                let state = self.channels.entry(channel).or_default();
                self.dead.extend(state.remove(sequence).map(|older| older.position));
                state.restore(sequence, message);
            }
            Record::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                self.saw(channel, sequence);
                let leases = self.leases.entry((channel, sequence)).or_default();
                // Copies of older leases may come later: the highest hand-out wins.
                if delivery >= leases.handouts.last {
                    let handouts = Handouts { last: delivery, uncounted, start };
                    *leases = Leases { handouts, ends_at: ends_ms, released: false };
                }
            }
            Record::Release { channel, sequence, delivery, counted } => {
                self.saw(channel, sequence);
                let leases = self.leases.entry((channel, sequence)).or_default();
                if delivery >= leases.handouts.last && !leases.released {
                    leases.released = true;
                    leases.handouts.last = delivery;
                    leases.handouts.uncounted += u32::from(!counted);
                }
            }
            Record::Settle { channel, sequence } => {
                self.saw(channel, sequence);
                self.leases.remove(&(channel, sequence));
                if let Some(stored) = self.channels.entry(channel).or_default().remove(sequence) {
                    self.dead.push(stored.position);
                }
            }
            Record::IdempotencyKey { hash, message_id, expires_ms, .. } => {
                let answered = Answered { id: Uuid::from_u128(message_id), expires_at: expires_ms };
                self.keys.insert(hash, answered);
            }
        }
    }

    fn saw(&mut self, channel: u32, sequence: Sequence) {
        self.channels.entry(channel).or_default().saw_sequence(sequence);
    }

    /// The channels' states, every lease applied to its message; and the ends of those that go on.
    fn finish(&mut self, now: Millis) -> Vec<LeaseEnd> {
        let mut ends = Vec::new();
        for ((channel, sequence), leases) in self.leases.drain() {
            let Some(state) = self.channels.get_mut(&channel) else { continue };
            let Some(mut message) = state.message(sequence).copied() else { continue };
            message.handouts = leases.handouts;
            message.phase = if leases.released {
                Phase::Ready(Some(Ended::Released))
            } else if leases.ends_at <= now {
                Phase::Ready(Some(Ended::Expired))
            } else {
                ends.push(LeaseEnd { at: leases.ends_at, channel, sequence });
                Phase::Leased(leases.ends_at)
            };
            state.restore(sequence, message);
        }
        ends
    }
}

impl Core {
    /// Opens the log of a data folder and rebuilds the channels from it. Messages of channels that the address store has
    /// forgotten for ever are dropped.
    pub fn start(
        folder: &DataFolder,
        store: &AddressStore,
        options: Options,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let mut replay = Replay::default();
        let mut log =
            DiskLog::open(&folder.log(), options, &mut |position, record| replay.record(position, &record))?;
        let clock = Clock::start(replay.newest);
        let now = clock.now();
        let mut timers = LeaseTimers::default();
        for end in replay.finish(now) {
            timers.insert(end);
        }
        let mut idempotency = IdempotencyTable::new(limits.idempotency_keys);
        for (hash, answered) in replay.keys.into_iter().filter(|(_, answered)| answered.expires_at > now) {
            idempotency.insert(hash, answered);
        }
        let mut dead = replay.dead;
        let counters = Arc::new(CounterRegistry::default());
        let mut channels = HashMap::new();
        for (number, state) in replay.channels {
            match store.by_number(number) {
                Some(entry) => {
                    channels.insert(number, Channel::new(entry, state, &counters));
                }
                // Its addresses are lost, not its deletion known: nothing may be dropped.
                None if !store.is_given(number) => return Err(StartError::StoresApart(number)),
                None => dead.extend(state.messages().map(|(_, message)| message.stored.position)),
            }
        }
        for position in dead {
            log.release(position);
        }
        let messages: u64 = channels.values().map(|channel: &Channel| channel.state.count()).sum();
        tracing::info!(channels = channels.len(), messages, keys = idempotency.count(), "the log is open");
        Ok(Self {
            log,
            clock,
            start: getrandom::u64().map_err(StartError::Random)?,
            sealer: LeaseSealer::new(folder.lease_key()),
            limits,
            channels,
            closed: HashSet::new(),
            counters,
            contents: HotContents::new(limits.hot_bytes),
            idempotency,
            timers,
            reclaim: Reclaim::default(),
            group: Arc::default(),
            group_sync: Sync::Later,
            failed: false,
            metrics,
            wakers: super::Wakers::default(),
        })
    }

    /// Every channel's counters, for other threads.
    pub fn counters(&self) -> Arc<CounterRegistry> {
        self.counters.clone()
    }
}
