//! The facts of a shard: everything that its log decides. A record means the same when it is appended and when a start
//! replays it: both call [`Facts::apply`].
//!
//! A record may come after others that it precedes in time, because live records of the oldest segment are copied to
//! the newest before the oldest is freed. So a lease may come before its message: its state is kept until the message
//! comes. A removal never does: only live messages are copied. A message that is there already is such a copy, and
//! keeps its state. Of two state records of a message, the later one in the log is the later one in time.

mod positions;
pub(in crate::shard) mod records;
pub(in crate::shard) mod replay;
pub(in crate::shard) mod replay_channels;

pub(crate) use replay::Replay;
pub(crate) use replay_channels::KnownUids;

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::{
    channel::{ChannelState, GroupName, LeaseCounts, Message, MessageState, Phase, Sequence, Stored},
    clock::Millis,
    log::{ChannelId, Idempotency, MovedFrom, ParcelId, Position, Record, RecordHead, Target},
    shard::{PerChannel, Placement, facts::positions::SharedPositions, relay::IncomingParcels},
};

/// What facts are for: they are replayed, or served.
pub(crate) trait Stage {
    /// What each channel has besides its messages.
    type Attached;
    /// The remembered idempotency keys.
    type Keys: RecordKeys;

    /// What a channel gets that a record mentions first. Nothing where a channel is created before its first record.
    fn attach() -> Option<Self::Attached>;

    /// The namespace of a channel, in whose share its keys count.
    fn namespace(attached: &Self::Attached) -> &str;
}

/// Where a key is recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordedKey<'a> {
    pub(in crate::shard) key: Idempotency,
    /// The channel and the namespace in whose shares it counts.
    pub(in crate::shard) holder: (ChannelId, &'a str),
    pub(in crate::shard) position: Position,
    /// Whether the record holds only the key.
    pub(in crate::shard) alone: bool,
}

/// Remembers idempotency keys.
pub(crate) trait RecordKeys {
    /// A record holds a key: a new one, or the copy of the record at `copy_of`. Returns the position of a record that
    /// is no longer needed.
    fn record(&mut self, key: RecordedKey<'_>, copy_of: Option<Position>) -> Option<Position>;
}

/// A channel of a shard.
#[derive(Debug)]
pub(crate) struct Channel<A> {
    pub(in crate::shard) state: ChannelState,
    pub(in crate::shard) live: A,
}

/// The channels of a shard, by id.
type Channels<S> = PerChannel<Box<Channel<<S as Stage>::Attached>>>;

/// A state whose message has not come yet.
#[derive(Debug)]
struct EarlyState {
    lease_counts: LeaseCounts,
    phase: Phase,
    /// The new expiry, if the record has one.
    expires_at: Option<Option<Millis>>,
    position: Position,
}

/// A parcel that not all of its channels have.
#[derive(Debug)]
pub(crate) struct OpenParcel {
    pub(in crate::shard) message: Message,
    /// The channels that did not have it when it was stored.
    pub(in crate::shard) to_come: Vec<Target>,
    pub(in crate::shard) record_bytes: u64,
}

pub(crate) struct Facts<S: Stage> {
    pub(in crate::shard) here: Placement,
    pub(in crate::shard) channels: Channels<S>,
    /// States whose messages have not come yet; none while the shard serves.
    early: HashMap<(ChannelId, Sequence), EarlyState>,
    pub(in crate::shard) keys: S::Keys,
    pub(in crate::shard) shared: SharedPositions,
    /// Parcels of this shard.
    pub(in crate::shard) parcels: BTreeMap<ParcelId, OpenParcel>,
    /// Parcels of other shards that were stored here.
    pub(in crate::shard) incoming: IncomingParcels,
    /// Deleted channels, and their UIDs.
    pub(in crate::shard) closed: PerChannel<Uuid>,
    /// Names of message groups, each once, while they are replayed.
    groups: Option<HashSet<GroupName>>,
}

impl<S: Stage> Facts<S> {
    /// Facts of a shard without records.
    pub(in crate::shard) fn new(here: Placement, keys: S::Keys) -> Self {
        Self {
            here,
            channels: PerChannel::default(),
            early: HashMap::new(),
            keys,
            shared: SharedPositions::default(),
            parcels: BTreeMap::new(),
            incoming: IncomingParcels::default(),
            closed: PerChannel::default(),
            groups: Some(HashSet::new()),
        }
    }

    /// The facts of a shard that serves from now on. Also returns the channels, to which the caller attaches what they
    /// need.
    pub(in crate::shard) fn serve<T: Stage>(self, keys: T::Keys) -> (Facts<T>, Channels<S>, S::Keys) {
        let Self { here, channels, shared, parcels, incoming, closed, keys: replayed, .. } = self;
        let facts = Facts {
            here,
            channels: PerChannel::default(),
            early: HashMap::new(),
            keys,
            shared,
            parcels,
            incoming,
            closed,
            groups: None,
        };
        (facts, channels, replayed)
    }

    /// Applies a record at a position. If the record is a copy, `copy_of` is the position of the original, unless that
    /// is not known. `release` gets the positions of records that are no longer needed.
    pub(crate) fn apply(
        &mut self,
        position: Position,
        head: &RecordHead<'_>,
        copy_of: Option<Position>,
        release: &mut impl FnMut(Position),
    ) {
        match head.record {
            Record::Message { .. } => self.message(position, head, release),
            Record::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                let lease_counts = LeaseCounts { last: delivery, uncounted, start };
                let phase = Phase::Leased(ends_ms);
                let to = EarlyState { lease_counts, phase, expires_at: None, position };
                self.changed(channel, sequence, to, release);
            }
            Record::State { channel, sequence, delivery, uncounted, start, expires_ms, phase } => {
                let lease_counts = LeaseCounts { last: delivery, uncounted, start };
                let (phase, expires_at) = (records::phase(phase), Some(expires_ms));
                let to = EarlyState { lease_counts, phase, expires_at, position };
                self.changed(channel, sequence, to, release);
            }
            Record::Removed { channel, sequence, .. } => self.removed(channel, sequence, release),
            Record::ParcelDelivered { parcel } => {
                if let Some(OpenParcel { message, .. }) = self.parcels.remove(&parcel) {
                    self.release_content(message.stored.position, release);
                }
            }
            Record::ParcelFloor { shard, floor } => self.incoming.raise(shard, floor),
            Record::Channel { channel, next_sequence, .. } => {
                if let Some(last) = next_sequence.checked_sub(1)
                    && let Some(channel) = self.mentioned(channel)
                {
                    channel.state.saw_sequence(last);
                }
            }
            Record::ChannelClosed { channel, uid } => {
                if self.here.owns(channel) {
                    self.close(channel, Uuid::from_u128(uid), release);
                }
            }
            Record::Key { .. } | Record::Clock { .. } => {}
        }
        self.key(position, &head.record, copy_of, release);
    }

    /// A message is stored, moved or copied.
    fn message(&mut self, position: Position, head: &RecordHead<'_>, release: &mut impl FnMut(Position)) {
        let Record::Message { targets, parcel, enqueued_ms, due_ms, group, moved_from, .. } = head.record
        else {
            return;
        };
        let here = self.here;
        match moved_from {
            Some(MovedFrom::Parcel { parcel, floor }) => {
                self.incoming.raise(parcel.shard, floor);
                let own = targets.iter().filter(|target| here.owns(target.channel));
                own.for_each(|target| self.incoming.add(parcel, target.channel));
            }
            Some(MovedFrom::Channel { channel, sequence }) => self.removed(channel, sequence, release),
            None => {}
        }
        let stored_here = |target: &Target| here.owns(target.channel) && !target.is_to_come();
        let own = || targets.iter().filter(stored_here);
        let parcel = parcel.filter(|parcel| here.sends(*parcel));
        let copies = own().count() + usize::from(parcel.is_some());
        if copies == 0 {
            if moved_from.is_some_and(|from| from.parcel().is_some()) {
                // The record is only a receipt.
                release(position);
            }
            return;
        }
        let group = group.map(|group| self.group(group));
        let stored = Stored { position, bytes: head.content_bytes as u32, enqueued_at: enqueued_ms };
        let copy = |expires_at| Message {
            stored,
            group: group.clone(),
            expires_at,
            lease_counts: LeaseCounts::default(),
            phase: records::first_phase(due_ms),
            state_at: None,
        };
        self.shared.share(position, copies);
        for Target { channel, sequence, expires_ms } in own() {
            self.stored(channel, sequence, copy(expires_ms), release);
        }
        if let Some(parcel) = parcel {
            let to_come = targets.iter().filter(Target::is_to_come).collect();
            let record_bytes = (head.record.encoded_len() + head.content_bytes) as u64;
            let open = OpenParcel { message: copy(None), to_come, record_bytes };
            if let Some(older) = self.parcels.insert(parcel, open) {
                self.release_content(older.message.stored.position, release);
            }
        }
    }

    /// A channel gets a message, or a copy of one that it has.
    fn stored(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        mut message: Message,
        release: &mut impl FnMut(Position),
    ) {
        let position = message.stored.position;
        if self.closed.contains_key(&channel_id) {
            return self.release_content(position, release);
        }
        let early = if self.early.is_empty() { None } else { self.early.remove(&(channel_id, sequence)) };
        let Some(channel) = self.mentioned(channel_id) else { return };
        if channel.state.has(sequence) {
            let before = channel.state.relocate(sequence, position);
            return before.into_iter().for_each(|before| self.release_content(before, release));
        }
        if let Some(EarlyState { lease_counts, phase, expires_at, position }) = early {
            (message.lease_counts, message.phase) = (lease_counts, phase);
            message.expires_at = expires_at.unwrap_or(message.expires_at);
            message.state_at = Some(position);
        }
        channel.state.insert(sequence, message);
    }

    /// A record has the state of a message.
    fn changed(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        mut to: EarlyState,
        release: &mut impl FnMut(Position),
    ) {
        if !self.here.owns(channel_id) {
            return;
        }
        if self.closed.contains_key(&channel_id) {
            return release(to.position);
        }
        let Some(channel) = self.mentioned(channel_id) else { return release(to.position) };
        channel.state.saw_sequence(sequence);
        let expires_at = to.expires_at;
        let there = channel.state.expires_at(sequence);
        if let Some(unchanged) = there {
            let EarlyState { lease_counts, phase, position, .. } = to;
            let state = MessageState { lease_counts, phase, expires_at: expires_at.unwrap_or(unchanged) };
            let before = channel.state.apply(sequence, state, Some(position));
            return before.flatten().into_iter().for_each(release);
        }
        if let Some(before) = self.early.get(&(channel_id, sequence)) {
            to.expires_at = to.expires_at.or(before.expires_at);
            release(before.position);
        }
        self.early.insert((channel_id, sequence), to);
    }

    /// A message left its channel.
    fn removed(&mut self, channel_id: ChannelId, sequence: Sequence, release: &mut impl FnMut(Position)) {
        if !self.here.owns(channel_id) {
            return;
        }
        if let Some(early) = self.early.remove(&(channel_id, sequence)) {
            release(early.position);
        }
        if self.closed.contains_key(&channel_id) {
            return;
        }
        let Some(channel) = self.mentioned(channel_id) else { return };
        channel.state.saw_sequence(sequence);
        if let Some(message) = channel.state.remove(sequence) {
            self.release_message(&message, release);
        }
    }

    /// A channel was deleted: all earlier records of it are void.
    fn close(&mut self, channel_id: ChannelId, uid: Uuid, release: &mut impl FnMut(Position)) {
        self.closed.insert(channel_id, uid);
        if let Some(channel) = self.channels.remove(&channel_id) {
            for (_, message) in channel.state.messages() {
                self.release_message(&message, release);
            }
        }
    }

    fn key(
        &mut self,
        position: Position,
        record: &Record<'_>,
        copy_of: Option<Position>,
        release: &mut impl FnMut(Position),
    ) {
        let Some((channel_id, key, _)) = record.key() else { return };
        if !self.here.owns(channel_id) {
            return;
        }
        let channel = self.channels.get(&channel_id);
        let namespace = channel.map_or("", |channel| S::namespace(&channel.live));
        let alone = matches!(record, Record::Key { .. });
        let key = RecordedKey { key, holder: (channel_id, namespace), position, alone };
        self.keys.record(key, copy_of).into_iter().for_each(release);
    }

    /// The channel that a record mentions, if this shard owns it and has it.
    fn mentioned(&mut self, channel_id: ChannelId) -> Option<&mut Channel<S::Attached>> {
        if !self.here.owns(channel_id) || self.closed.contains_key(&channel_id) {
            return None;
        }
        match self.channels.entry(channel_id) {
            std::collections::hash_map::Entry::Occupied(there) => Some(&mut **there.into_mut()),
            std::collections::hash_map::Entry::Vacant(free) => {
                let live = S::attach()?;
                Some(&mut **free.insert(Box::new(Channel { state: ChannelState::default(), live })))
            }
        }
    }

    fn group(&mut self, name: &str) -> GroupName {
        let Some(groups) = &mut self.groups else { return name.into() };
        if let Some(group) = groups.get(name) {
            return group.clone();
        }
        let group = GroupName::from(name);
        groups.insert(group.clone());
        group
    }

    /// Releases all records of a message that one channel no longer has.
    pub(in crate::shard) fn release_message(
        &mut self,
        message: &Message,
        release: &mut impl FnMut(Position),
    ) {
        message.state_at.into_iter().for_each(&mut *release);
        self.release_content(message.stored.position, release);
    }

    /// Releases a body that one channel or parcel no longer needs.
    pub(in crate::shard) fn release_content(
        &mut self,
        position: Position,
        release: &mut impl FnMut(Position),
    ) {
        if self.shared.release(position) {
            release(position);
        }
    }

    /// Releases states whose messages never came, at the end of a replay: their messages are gone.
    pub(in crate::shard) fn end_replay(&mut self, release: &mut impl FnMut(Position)) {
        self.early.drain().for_each(|(_, early)| release(early.position));
    }
}
