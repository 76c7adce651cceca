//! Replay at start: rebuilds the channels from the log's records.
//!
//! A record may come after others that it precedes in time, because live records of the oldest segment are copied to
//! the newest before the oldest is freed. So a lease may come before its message: it is kept until the message comes. A
//! settle never does: only live messages are copied. Of two state records of a message, the later one in the log is the
//! later one in time, because a copy is written of the current state. Older logs, of other numbers of shards, come
//! first; in each of them, all records of a channel are in one log.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
};

use uuid::Uuid;

use super::{
    PerChannel, Placement,
    ownership::ChannelEvidence,
    positions::SharedPositions,
    records,
    relay::Inbox,
    replay_channels::{KnownUids, PartChannels},
};
use crate::{
    channel::{ChannelState, GroupName, LeaseCounts, Message, Phase, Sequence, Stored},
    clock::{Millis, Past},
    log::{
        ChannelId, Idempotency, Log, LogError, MovedFrom, ParcelId, ParcelNumber, Position, Record,
        RecordHead, RecordedPhase, Replayed, Target,
    },
};

/// The newest state of a message in the log.
#[derive(Debug, Clone)]
struct StateChange {
    lease_counts: LeaseCounts,
    phase: Phase,
    /// The position of its record.
    position: Position,
    /// The new expiry, if it has changed.
    expires_at: Option<Option<Millis>>,
}

/// The position of a key's record, and the key's expiry.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplayedKey {
    pub(super) position: Position,
    pub(super) expires_at: Millis,
    pub(super) channel: ChannelId,
    /// Whether the record holds only the key.
    pub(super) alone: bool,
}

/// Collects the log's records in their order, for the channels of one shard.
#[derive(Debug)]
pub(crate) struct Replay {
    here: Placement,
    pub(super) channels: PerChannel<ChannelState>,
    changes: HashMap<(ChannelId, Sequence), StateChange>,
    pub(super) keys: HashMap<u128, ReplayedKey>,
    pub(super) shared: SharedPositions,
    /// Records of messages that are gone, or that have a newer copy.
    pub(super) dead: Vec<Position>,
    /// The times in the log.
    pub(crate) past: Past,
    /// Names of message groups, each once.
    groups: HashSet<GroupName>,
    /// Parcels of this shard.
    pub(super) leaving: HashMap<ParcelId, LeavingParcel>,
    /// Parcels of other shards that were stored here.
    pub(super) inbox: Inbox,
    /// The highest epoch of a parcel.
    pub(super) newest_epoch: u64,
    /// Names in the newest part of the log.
    pub(super) newest_part: PartChannels,
    pub(super) known: KnownUids,
    /// Evidence of channels that the address store does not know.
    pub(super) evidence: ChannelEvidence,
    /// Channels whose deletion is in the log, and their UIDs.
    pub(super) closed: PerChannel<Uuid>,
    /// Bytes of the longest record that the log accepts.
    longest_record: u64,
    /// Messages with longer records, and their bytes: an earlier start had larger segments.
    too_long: Vec<(ChannelId, Sequence, u64)>,
}

/// A parcel.
#[derive(Debug)]
pub(super) struct LeavingParcel {
    pub(super) message: Message,
    /// The channels that did not have it when it was stored.
    pub(super) to_come: Vec<Target>,
    record_bytes: u64,
}

/// Bytes of a whole record.
fn record_bytes(head: &RecordHead<'_>) -> u64 {
    (head.record.encoded_len() + head.content_bytes) as u64
}

impl Default for Replay {
    fn default() -> Self {
        Self::beside(KnownUids::by(|_| None))
    }
}

impl Replay {
    /// A replay of all channels; `known` has the address store's UIDs.
    pub(crate) fn beside(known: KnownUids) -> Self {
        Self::of(Placement::ALONE, known)
    }

    /// A replay of one shard's channels.
    fn of(here: Placement, known: KnownUids) -> Self {
        Self {
            here,
            channels: PerChannel::default(),
            changes: HashMap::new(),
            keys: HashMap::new(),
            shared: SharedPositions::default(),
            dead: Vec::new(),
            past: Past::default(),
            groups: HashSet::new(),
            leaving: HashMap::new(),
            inbox: Inbox::default(),
            newest_epoch: 0,
            newest_part: PartChannels::default(),
            known,
            evidence: ChannelEvidence::default(),
            closed: PerChannel::default(),
            longest_record: u64::MAX,
            too_long: Vec::new(),
        }
    }

    /// Replays the records of one shard's channels.
    pub(super) async fn read<L: Log>(
        log: &mut L,
        here: Placement,
        known: KnownUids,
    ) -> Result<Self, LogError> {
        let mut replay = Self { longest_record: log.longest_record(), ..Self::of(here, known) };
        let mut tell = |position, head: &RecordHead<'_>| {
            replay.newest_part.record(L::part_of(position), &head.record);
            replay.record(position, head);
        };
        while poll_fn(|context| log.poll_replay(&mut tell, context)).await? == Replayed::Part {}
        replay.finish();
        Ok(replay)
    }

    /// Replays one record.
    pub(crate) fn record(&mut self, position: Position, head: &RecordHead<'_>) {
        let RecordHead { record, content_bytes } = head;
        self.key(position, record);
        match *record {
            Record::Message { targets, parcel, enqueued_ms, due_ms, group, moved_from, .. } => {
                let here = self.here;
                match moved_from {
                    Some(MovedFrom::Parcel { parcel, floor }) => {
                        self.floor(parcel.shard, floor);
                        self.saw_epoch(parcel.number);
                        let own = targets.iter().filter(|target| here.owns(target.channel));
                        own.for_each(|target| self.inbox.add(parcel, target.channel));
                    }
                    Some(MovedFrom::Channel { channel, sequence }) => self.removed(channel, sequence),
                    None => {}
                }
                let stored = self.stored(position, enqueued_ms, *content_bytes);
                let stored_by_this = |target: &Target| here.owns(target.channel) && !target.is_to_come();
                let own = || targets.iter().filter(stored_by_this);
                parcel.iter().for_each(|parcel| self.saw_epoch(parcel.number));
                let parcel = parcel.filter(|parcel| here.sends(*parcel));
                let group = group.map(|group| self.group(group));
                let copy = |expires_at| Message {
                    stored,
                    group: group.clone(),
                    expires_at,
                    lease_counts: LeaseCounts::default(),
                    phase: records::first_phase(due_ms),
                    state_at: None,
                };
                self.shared.share(position, own().count() + usize::from(parcel.is_some()));
                for Target { channel, sequence, expires_ms } in own() {
                    self.measure(channel, sequence, head);
                    self.message(channel, sequence, copy(expires_ms));
                }
                if let Some(parcel) = parcel {
                    let to_come = targets.iter().filter(Target::is_to_come).collect();
                    let record_bytes = record_bytes(head);
                    self.add_parcel(parcel, LeavingParcel { message: copy(None), to_come, record_bytes });
                }
                if own().next().is_none()
                    && parcel.is_none()
                    && moved_from.is_some_and(|from| from.parcel().is_some())
                {
                    // The record is only a receipt.
                    self.dead.push(position);
                }
            }
            Record::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                let lease_counts = LeaseCounts { last: delivery, uncounted, start };
                let phase = Phase::Leased(ends_ms);
                self.changed(
                    channel,
                    sequence,
                    StateChange { lease_counts, phase, position, expires_at: None },
                );
            }
            Record::State { channel, sequence, delivery, uncounted, start, expires_ms, phase } => {
                let lease_counts = LeaseCounts { last: delivery, uncounted, start };
                if let RecordedPhase::Dead { since_ms, .. } = phase {
                    self.past.saw(since_ms);
                }
                let (phase, expires_at) = (records::phase(phase), Some(expires_ms));
                self.changed(channel, sequence, StateChange { lease_counts, phase, position, expires_at });
            }
            Record::Removed { channel, sequence, .. } => self.removed(channel, sequence),
            Record::ParcelDelivered { parcel } => self.delivered(parcel),
            Record::ParcelFloor { shard, floor } => self.floor(shard, floor),
            Record::Key { .. } => {}
            Record::Channel { channel, uid, next_sequence, namespace, name } => {
                self.named(channel, Uuid::from_u128(uid), namespace, name);
                if let Some(last) = next_sequence.checked_sub(1).filter(|_| self.here.owns(channel)) {
                    self.saw(channel, last);
                }
            }
            Record::ChannelClosed { channel, uid } => self.closed(channel, Uuid::from_u128(uid)),
            Record::Clock { .. } => records::mark(record).into_iter().for_each(|mark| self.past.marked(mark)),
        }
    }

    fn key(&mut self, position: Position, record: &Record<'_>) {
        let Some((channel, Idempotency { hash, expires_ms, .. }, _)) = record.key() else { return };
        if !self.here.owns(channel) {
            return;
        }
        let alone = matches!(record, Record::Key { .. });
        let key = ReplayedKey { position, expires_at: expires_ms, channel, alone };
        let known = self.keys.entry(hash).or_insert(key);
        // A key may be reused after its window, and the first message be copied after that.
        let older = if known.expires_at <= key.expires_at { std::mem::replace(known, key) } else { key };
        if older.alone && older.position != known.position {
            self.dead.push(older.position);
        }
    }

    fn stored(&mut self, position: Position, enqueued_at: Millis, content_bytes: usize) -> Stored {
        self.past.saw(enqueued_at);
        Stored { position, bytes: content_bytes as u32, enqueued_at }
    }

    /// Notes a message that this start's log could not copy.
    fn measure(&mut self, channel: ChannelId, sequence: Sequence, head: &RecordHead<'_>) {
        // Nearly all: a head is far shorter than half of a segment.
        if (head.content_bytes as u64) < self.longest_record / 2 {
            return;
        }
        let bytes = record_bytes(head);
        if bytes > self.longest_record {
            self.too_long.push((channel, sequence, bytes));
        }
    }

    /// The longest message that the log could not copy, of those still in a channel or a parcel: one of its channels,
    /// and its bytes.
    pub(super) fn too_long(
        &self,
        is_there: impl Fn(ChannelId, Sequence) -> bool,
    ) -> Option<(ChannelId, u64)> {
        let there = self.too_long.iter().filter(|(channel, sequence, _)| is_there(*channel, *sequence));
        let there = there.map(|(channel, _, bytes)| (*channel, *bytes));
        let leaving = self.leaving.values().filter(|leaving| leaving.record_bytes > self.longest_record);
        let leaving =
            leaving.filter_map(|leaving| Some((leaving.to_come.first()?.channel, leaving.record_bytes)));
        there.chain(leaving).max_by_key(|(_, bytes)| *bytes)
    }

    fn group(&mut self, name: &str) -> GroupName {
        if let Some(group) = self.groups.get(name) {
            return group.clone();
        }
        let group = GroupName::from(name);
        self.groups.insert(group.clone());
        group
    }

    fn message(&mut self, channel: ChannelId, sequence: Sequence, message: Message) {
        if self.closed.contains_key(&channel) {
            return self.release(Some(message));
        }
        let older = self.channels.entry(channel).or_default().restore(sequence, message);
        self.release(older);
    }

    fn add_parcel(&mut self, message: ParcelId, leaving: LeavingParcel) {
        let older = self.leaving.insert(message, leaving);
        self.release(older.map(|older| older.message));
    }

    fn changed(&mut self, channel: ChannelId, sequence: Sequence, mut changed: StateChange) {
        if !self.here.owns(channel) {
            return;
        }
        self.saw(channel, sequence);
        if let Some(before) = self.changes.get(&(channel, sequence)) {
            changed.expires_at = changed.expires_at.or(before.expires_at);
            self.dead.push(before.position);
        }
        self.changes.insert((channel, sequence), changed);
    }

    fn removed(&mut self, channel: ChannelId, sequence: Sequence) {
        if !self.here.owns(channel) {
            return;
        }
        self.saw(channel, sequence);
        self.dead.extend(self.changes.remove(&(channel, sequence)).map(|changed| changed.position));
        if self.closed.contains_key(&channel) {
            return;
        }
        let message = self.channels.entry(channel).or_default().remove(sequence);
        self.release(message);
    }

    fn floor(&mut self, shard: u32, floor: ParcelNumber) {
        self.saw_epoch(floor);
        self.inbox.raise(shard, floor);
    }

    fn saw_epoch(&mut self, number: ParcelNumber) {
        self.newest_epoch = self.newest_epoch.max(number.epoch);
    }

    fn delivered(&mut self, parcel: ParcelId) {
        self.saw_epoch(parcel.number);
        if self.here.sends(parcel) {
            let gone = self.leaving.remove(&parcel);
            self.release(gone.map(|gone| gone.message));
        }
    }

    /// Releases a copy of a message.
    fn release(&mut self, message: Option<Message>) {
        let Some(message) = message else { return };
        self.dead.extend(message.state_at);
        if self.shared.release(message.stored.position) {
            self.dead.push(message.stored.position);
        }
    }

    fn saw(&mut self, channel: ChannelId, sequence: Sequence) {
        if self.closed.contains_key(&channel) {
            return;
        }
        self.channels.entry(channel).or_default().saw_sequence(sequence);
    }

    /// Applies the newest state to each message. Leases that have expired end when events of time are processed.
    pub(crate) fn finish(&mut self) {
        let closed = &self.closed;
        // Once here instead of at each deletion: there may be many of both.
        if !closed.is_empty() {
            self.keys.retain(|_, key| !closed.contains_key(&key.channel));
        }
        for ((channel, sequence), StateChange { lease_counts, phase, position, expires_at }) in
            self.changes.drain()
        {
            let state = self.channels.get_mut(&channel);
            let Some((state, mut message)) =
                state.and_then(|state| state.remove(sequence).map(|message| (state, message)))
            else {
                self.dead.push(position);
                continue;
            };
            message.lease_counts = lease_counts;
            message.phase = phase;
            message.expires_at = expires_at.unwrap_or(message.expires_at);
            message.state_at = Some(position);
            state.restore(sequence, message);
        }
    }

    /// Stores parcels in their remaining channels, like the relay after a start.
    pub(crate) fn deliver_parcels(&mut self) {
        let mut leaving: Vec<_> = self.leaving.drain().collect();
        leaving.sort_unstable_by_key(|(from, _)| (from.number, from.shard));
        for (from, LeavingParcel { message, to_come, .. }) in leaving {
            for Target { channel, expires_ms, .. } in to_come {
                if !self.inbox.knows(from, channel) && !self.closed.contains_key(&channel) {
                    let sequence = self.channels.entry(channel).or_default().next_sequence();
                    self.message(channel, sequence, Message { expires_at: expires_ms, ..message.clone() });
                }
            }
        }
    }

    /// The state of each channel, by id.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (ChannelId, &ChannelState)> {
        self.channels.iter().map(|(channel_id, state)| (*channel_id, state))
    }

    /// Removes all messages of a channel; its used sequences stay known.
    pub(super) fn empty(&mut self, state: &mut ChannelState) {
        let sequences: Vec<_> = state.messages().map(|(sequence, _)| sequence).collect();
        for sequence in sequences {
            let message = state.remove(sequence);
            self.release(message);
        }
    }
}
