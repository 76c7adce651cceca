//! At start: the channels as the log's records say they were.
//!
//! A record may come after others that it precedes in time, because what is live in the oldest segment is copied to the
//! newest before the oldest is freed. So a lease may come before its message: it is kept until the message comes. A
//! settle never does: copies are made of live messages only. Of two records that tell a message's state, the later one in
//! the log is the later one in time, because a copy is written of the state as it is then.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    sync::Arc,
};

use restante_wire::channel::Durability;

use super::{
    Channel, Core, CounterRegistry, Limits, StartError, contents::HotContents, idempotency::IdempotencyTable,
    in_flight::InFlight, moves::Moves, positions::SharedPositions, reclaim::Reclaim, records, rest::Resting,
    timers::ChannelTimers,
};
use crate::{
    address_store::AddressStore,
    channel::{ChannelState, Ended, Group, Handouts, LeaseSealer, Message, Phase, Sequence, Stored},
    clock::{Clock, Millis},
    log::{GroupNumber, Idempotency, Log, LogError, Position, Record, RecordHead, Replayed, Sync, Target},
    metrics::Metrics,
};

/// What the log says of one message since it was stored.
#[derive(Debug, Clone)]
struct Changed {
    handouts: Handouts,
    phase: Phase,
    /// When its time is over, if that has changed.
    expires_at: Option<Option<Millis>>,
}

/// Where a key's record lies, and when the key is forgotten.
#[derive(Debug, Clone, Copy)]
struct Key {
    position: Position,
    expires_at: Millis,
}

/// Collects the log's records, in the order in which they lie there.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    channels: HashMap<u32, ChannelState>,
    changes: HashMap<(u32, Sequence), Changed>,
    keys: HashMap<u128, Key>,
    shared: SharedPositions,
    /// Records of messages that are gone, or that lie elsewhere as well.
    dead: Vec<Position>,
    newest: Millis,
    /// Names of groups, each once.
    groups: HashSet<Group>,
}

impl Replay {
    /// Everything in a log.
    async fn read(log: &mut impl Log) -> Result<Self, LogError> {
        let mut replay = Self::default();
        let mut tell = |position, head: &RecordHead<'_>| replay.record(position, head);
        while poll_fn(|context| log.poll_replay(&mut tell, context)).await? == Replayed::Part {}
        replay.finish();
        Ok(replay)
    }

    /// One more record.
    pub(crate) fn record(&mut self, position: Position, head: &RecordHead<'_>) {
        let RecordHead { record, content_bytes } = head;
        if let Some((Idempotency { hash, expires_ms, .. }, _)) = record.key() {
            let key = Key { position, expires_at: expires_ms };
            let known = self.keys.entry(hash).or_insert(key);
            // A key may be used again when its window is over, and the first message be copied after that.
            if known.expires_at <= key.expires_at {
                *known = key;
            }
        }
        match *record {
            Record::Push { channel, sequence, enqueued_ms, .. } => {
                let stored = self.stored(position, enqueued_ms, *content_bytes);
                self.message(channel, sequence, Message::new(stored));
            }
            Record::Message { targets, enqueued_ms, due_ms, group, moved_from, .. } => {
                if let Some((channel, sequence)) = moved_from {
                    self.gone(channel, sequence);
                }
                let stored = self.stored(position, enqueued_ms, *content_bytes);
                let group = group.map(|group| self.group(group));
                self.shared.share(position, targets.count());
                for Target { channel, sequence, expires_ms } in targets.iter() {
                    let message = Message {
                        stored,
                        group: group.clone(),
                        expires_at: expires_ms,
                        handouts: Handouts::default(),
                        phase: records::first_phase(due_ms),
                    };
                    self.message(channel, sequence, message);
                }
            }
            Record::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                let handouts = Handouts { last: delivery, uncounted, start };
                self.changed(channel, sequence, handouts, Phase::Leased(ends_ms), None);
            }
            Record::Release { channel, sequence, delivery, counted } => {
                self.saw(channel, sequence);
                let changed = self.changes.entry((channel, sequence)).or_insert(Changed {
                    handouts: Handouts { last: delivery, ..Handouts::default() },
                    phase: Phase::Leased(0),
                    expires_at: None,
                });
                if matches!(changed.phase, Phase::Leased(_)) {
                    let uncounted = &mut changed.handouts.uncounted;
                    *uncounted = uncounted.saturating_add(u32::from(!counted));
                    changed.phase = Phase::Ready(Some(Ended::Released));
                }
            }
            Record::State { channel, sequence, delivery, uncounted, start, expires_ms, phase } => {
                let handouts = Handouts { last: delivery, uncounted, start };
                self.changed(channel, sequence, handouts, records::phase(phase), Some(expires_ms));
            }
            Record::Settle { channel, sequence } => self.gone(channel, sequence),
            Record::IdempotencyKey { .. } | Record::Key { .. } => {}
        }
    }

    fn stored(&mut self, position: Position, enqueued_at: Millis, content_bytes: usize) -> Stored {
        self.newest = self.newest.max(enqueued_at);
        Stored { position, bytes: content_bytes as u32, enqueued_at }
    }

    fn group(&mut self, name: &str) -> Group {
        if let Some(group) = self.groups.get(name) {
            return group.clone();
        }
        let group = Group::from(name);
        self.groups.insert(group.clone());
        group
    }

    fn message(&mut self, channel: u32, sequence: Sequence, message: Message) {
        let state = self.channels.entry(channel).or_default();
        let older = state.remove(sequence);
        state.restore(sequence, message);
        self.release(older);
    }

    fn changed(
        &mut self,
        channel: u32,
        sequence: Sequence,
        handouts: Handouts,
        phase: Phase,
        expires_at: Option<Option<Millis>>,
    ) {
        self.saw(channel, sequence);
        let before = self.changes.get(&(channel, sequence)).and_then(|changed| changed.expires_at);
        let changed = Changed { handouts, phase, expires_at: expires_at.or(before) };
        self.changes.insert((channel, sequence), changed);
    }

    fn gone(&mut self, channel: u32, sequence: Sequence) {
        self.saw(channel, sequence);
        self.changes.remove(&(channel, sequence));
        let message = self.channels.entry(channel).or_default().remove(sequence);
        self.release(message);
    }

    /// A copy of a message is needed no longer.
    fn release(&mut self, message: Option<Message>) {
        if let Some(message) = message
            && self.shared.release(message.stored.position)
        {
            self.dead.push(message.stored.position);
        }
    }

    fn saw(&mut self, channel: u32, sequence: Sequence) {
        self.channels.entry(channel).or_default().saw_sequence(sequence);
    }

    /// Applies to each message what happened to it. Leases that have ended end when time is first looked at.
    pub(crate) fn finish(&mut self) {
        for ((channel, sequence), Changed { handouts, phase, expires_at }) in self.changes.drain() {
            let Some(state) = self.channels.get_mut(&channel) else { continue };
            let Some(mut message) = state.remove(sequence) else { continue };
            message.handouts = handouts;
            message.phase = phase;
            message.expires_at = expires_at.unwrap_or(message.expires_at);
            state.restore(sequence, message);
        }
    }

    /// The messages of each channel, by the channels' numbers.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (u32, &ChannelState)> {
        self.channels.iter().map(|(number, state)| (*number, state))
    }

    /// Nothing of a channel is kept but the sequences that it has given.
    fn empty(&mut self, state: &mut ChannelState) {
        let sequences: Vec<_> = state.messages().map(|(sequence, _)| sequence).collect();
        for sequence in sequences {
            let message = state.remove(sequence);
            self.release(message);
        }
    }
}

impl<L: Log> Core<L> {
    /// Rebuilds the channels from a log that was just opened. Messages of channels that the address store has forgotten for
    /// ever are dropped, and those of channels that are kept in memory only.
    pub async fn start(
        mut log: L,
        store: &AddressStore,
        sealer: LeaseSealer,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let mut replay = Replay::read(&mut log).await?;
        let clock = Clock::start(replay.newest);
        let now = clock.now();
        let mut idempotency = IdempotencyTable::new(limits.idempotency_keys);
        for (hash, Key { position, expires_at }) in
            replay.keys.drain().filter(|(_, key)| key.expires_at > now)
        {
            idempotency.insert(hash, expires_at, position, now);
        }
        let counters = Arc::new(CounterRegistry::default());
        let mut channels: HashMap<u32, Box<Channel>> = HashMap::new();
        for (number, mut state) in std::mem::take(&mut replay.channels) {
            match store.by_number(number) {
                Some(entry) => {
                    if entry.config.durability == Durability::Memory {
                        replay.empty(&mut state);
                    }
                    channels.insert(number, Box::new(Channel::new(entry, state, &counters)));
                }
                // Its addresses are lost, not its deletion known: nothing may be dropped.
                None if !store.is_given(number) => return Err(StartError::StoresApart(number)),
                None => replay.empty(&mut state),
            }
        }
        let messages: u64 = channels.values().map(|channel| channel.state.messages_count()).sum();
        tracing::info!(channels = channels.len(), messages, keys = idempotency.count(), "the log is open");
        let mut core = Self {
            log,
            store: store.clone(),
            clock,
            start: getrandom::u64().map_err(StartError::Random)?,
            sealer,
            limits,
            channels,
            resting: Resting::default(),
            closed: HashSet::new(),
            counters,
            contents: HotContents::new(limits.hot_bytes),
            shared: replay.shared,
            idempotency,
            waiting_keys: HashSet::new(),
            moves: Moves::new(),
            timers: ChannelTimers::default(),
            reclaim: Reclaim::default(),
            group: Arc::default(),
            group_sync: Sync::Later,
            sync_wanted: false,
            in_flight: InFlight::default(),
            newest_group: GroupNumber::default(),
            durable_group: GroupNumber::default(),
            failed: false,
            metrics,
            wakers: super::Wakers::default(),
        };
        replay.dead.into_iter().for_each(|position| core.log.release(position));
        let numbers: Vec<_> = core.channels.keys().copied().collect();
        numbers.into_iter().for_each(|number| core.touch(number));
        Ok(core)
    }
}
