//! Replay at start: rebuilds the facts of a shard from its log. Older logs, of other numbers of shards, come first; in
//! each of them, all records of a channel are in one log.

use std::{collections::HashMap, future::poll_fn};

use uuid::Uuid;

use crate::{
    channel::{ChannelState, Message, Sequence},
    clock::{Millis, Past},
    log::{
        ChannelId, Idempotency, Log, LogError, MovedFrom, ParcelNumber, Position, Record, RecordHead,
        RecordedPhase, Replayed, Target,
    },
    shard::{
        Placement,
        facts::{
            Facts, OpenParcel, RecordKeys, RecordedKey, Stage, records,
            replay_channels::{KnownUids, PartChannels},
        },
        ownership::ChannelEvidence,
    },
};

/// Facts that are being replayed.
pub(crate) struct Replaying;

impl Stage for Replaying {
    type Attached = ();
    type Keys = ReplayedKeys;

    fn attach() -> Option<()> {
        Some(())
    }

    fn namespace((): &()) -> &str {
        ""
    }
}

/// The position of a key's record, and the key's expiry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayedKey {
    pub(in crate::shard) position: Position,
    pub(in crate::shard) expires_at: Millis,
    pub(in crate::shard) channel: ChannelId,
    /// Whether the record holds only the key.
    pub(in crate::shard) alone: bool,
}

/// The keys of a log, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct ReplayedKeys(pub(in crate::shard) HashMap<u128, ReplayedKey>);

impl RecordKeys for ReplayedKeys {
    fn record(&mut self, key: RecordedKey<'_>, _: Option<Position>) -> Option<Position> {
        let RecordedKey { key: Idempotency { hash, expires_ms, .. }, holder: (channel, _), position, alone } =
            key;
        let key = ReplayedKey { position, expires_at: expires_ms, channel, alone };
        let known = self.0.entry(hash).or_insert(key);
        // A key may be reused after its window, and the first message be copied after that.
        let older = if known.expires_at <= key.expires_at { std::mem::replace(known, key) } else { key };
        (older.alone && older.position != known.position).then_some(older.position)
    }
}

/// Collects the log's records in their order, for the channels of one shard.
pub(crate) struct Replay {
    pub(in crate::shard) facts: Facts<Replaying>,
    /// Records of messages that are gone, or that have a newer copy.
    pub(in crate::shard) dead: Vec<Position>,
    /// The times in the log.
    pub(crate) past: Past,
    /// The highest epoch of a parcel.
    pub(in crate::shard) newest_epoch: u64,
    /// Names in the newest part of the log.
    pub(in crate::shard) newest_part: PartChannels,
    pub(in crate::shard) known: KnownUids,
    /// Evidence of channels that the address store does not know.
    pub(in crate::shard) evidence: ChannelEvidence,
    /// Bytes of the longest record that the log accepts.
    longest_record: u64,
    /// Messages with longer records, and their bytes: an earlier start had larger segments.
    too_long: Vec<(ChannelId, Sequence, u64)>,
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
            facts: Facts::new(here, ReplayedKeys::default()),
            dead: Vec::new(),
            past: Past::default(),
            newest_epoch: 0,
            newest_part: PartChannels::default(),
            known,
            evidence: ChannelEvidence::default(),
            longest_record: u64::MAX,
            too_long: Vec::new(),
        }
    }

    /// Replays the records of one shard's channels.
    pub(in crate::shard) async fn read<L: Log>(
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
        let dead = &mut self.dead;
        self.facts.apply(position, head, None, &mut |position| dead.push(position));
        match head.record {
            Record::Message { targets, parcel, enqueued_ms, moved_from, .. } => {
                self.past.saw(enqueued_ms);
                targets.iter().for_each(|target| self.measure(target, head));
                parcel.iter().for_each(|parcel| self.saw_epoch(parcel.number));
                if let Some(MovedFrom::Parcel { parcel, floor }) = moved_from {
                    self.saw_epoch(floor.max(parcel.number));
                }
            }
            Record::State { phase: RecordedPhase::Dead { since_ms, .. }, .. } => self.past.saw(since_ms),
            Record::ParcelDelivered { parcel } => self.saw_epoch(parcel.number),
            Record::ParcelFloor { floor, .. } => self.saw_epoch(floor),
            Record::Channel { channel, uid, namespace, name, .. } => {
                self.named(channel, Uuid::from_u128(uid), namespace, name);
            }
            Record::Clock { .. } => {
                records::mark(&head.record).into_iter().for_each(|mark| self.past.marked(mark));
            }
            Record::State { .. }
            | Record::Lease { .. }
            | Record::Removed { .. }
            | Record::Key { .. }
            | Record::ChannelClosed { .. } => {}
        }
    }

    fn saw_epoch(&mut self, number: ParcelNumber) {
        self.newest_epoch = self.newest_epoch.max(number.epoch);
    }

    /// Notes a message that this start's log could not copy.
    fn measure(&mut self, Target { channel, sequence, .. }: Target, head: &RecordHead<'_>) {
        // Nearly all: a head is far shorter than half of a segment.
        if (head.content_bytes as u64) < self.longest_record / 2 || !self.facts.here.owns(channel) {
            return;
        }
        let bytes = (head.record.encoded_len() + head.content_bytes) as u64;
        if bytes > self.longest_record {
            self.too_long.push((channel, sequence, bytes));
        }
    }

    /// The longest message that the log could not copy, of those still in a channel or a parcel: one of its channels,
    /// and its bytes.
    pub(in crate::shard) fn too_long(
        &self,
        parcels: &std::collections::BTreeMap<crate::log::ParcelId, OpenParcel>,
        is_there: impl Fn(ChannelId, Sequence) -> bool,
    ) -> Option<(ChannelId, u64)> {
        let there = self.too_long.iter().filter(|(channel, sequence, _)| is_there(*channel, *sequence));
        let there = there.map(|(channel, _, bytes)| (*channel, *bytes));
        let open = parcels.values().filter(|open| open.record_bytes > self.longest_record);
        let open = open.filter_map(|open| Some((open.to_come.first()?.channel, open.record_bytes)));
        there.chain(open).max_by_key(|(_, bytes)| *bytes)
    }

    /// Ends the replay. Leases that have expired end when events of time are processed.
    pub(crate) fn finish(&mut self) {
        let Self { facts, dead, .. } = self;
        facts.end_replay(&mut |position| dead.push(position));
        // Once here instead of at each deletion: there may be many of both.
        if !facts.closed.is_empty() {
            let closed = facts.closed.keys().copied().collect();
            self.drop_keys(&closed);
        }
    }

    /// Stores parcels in their remaining channels, like the relay after a start.
    pub(crate) fn deliver_parcels(&mut self) {
        let mut open: Vec<_> = std::mem::take(&mut self.facts.parcels).into_iter().collect();
        open.sort_unstable_by_key(|(from, _)| (from.number, from.shard));
        for (from, OpenParcel { message, to_come, .. }) in open {
            for Target { channel, expires_ms, .. } in to_come {
                if !self.facts.incoming.knows(from, channel) && !self.facts.closed.contains_key(&channel) {
                    let state = self.state_of(channel);
                    let sequence = state.next_sequence();
                    state.insert(sequence, Message { expires_at: expires_ms, ..message.clone() });
                }
            }
        }
    }

    fn state_of(&mut self, channel: ChannelId) -> &mut ChannelState {
        let empty = || Box::new(crate::shard::facts::Channel { state: ChannelState::default(), live: () });
        &mut self.facts.channels.entry(channel).or_insert_with(empty).state
    }

    /// The state of each channel, by id.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (ChannelId, &ChannelState)> {
        self.facts.channels.iter().map(|(channel_id, channel)| (*channel_id, &channel.state))
    }
}
