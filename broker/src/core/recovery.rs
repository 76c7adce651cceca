//! At start: the channels as the log's records say they were.
//!
//! A record may come after others that it precedes in time, because what is live in the oldest segment is copied to the
//! newest before the oldest is freed. So a lease may come before its message: it is kept until the message comes. A
//! settle never does: copies are made of live messages only. Of two records that tell a message's state, the later one in
//! the log is the later one in time, because a copy is written of the state as it is then. Older logs, of other numbers of
//! cores, come first; in each of them all records of a channel are in one log.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
};

use uuid::Uuid;

use super::{
    Here, Numbered,
    inbox::{Inbox, came_from},
    outbox::Outgoing,
    placement::is_outbox,
    positions::SharedPositions,
    records,
    told::{Known, PartTold},
    whose::Said,
};
use crate::{
    channel::{ChannelState, Ended, GroupName, Handouts, Message, Phase, Sequence, Stored},
    clock::{Millis, Past},
    log::{Idempotency, Log, LogError, Position, Record, RecordHead, RecordedPhase, Replayed, Target},
};

/// What the log says of one message since it was stored.
#[derive(Debug, Clone)]
struct Changed {
    handouts: Handouts,
    phase: Phase,
    /// Where the log says so.
    position: Position,
    /// When its time is over, if that has changed.
    expires_at: Option<Option<Millis>>,
}

/// Where a key's record lies, and when the key is forgotten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) position: Position,
    pub(super) expires_at: Millis,
    /// The number of the channel that it belongs to, or none's.
    pub(super) channel: u32,
    /// Whether the record is the key's alone.
    pub(super) alone: bool,
}

/// Collects the log's records, in the order in which they lie there: those of the channels of one core.
#[derive(Debug)]
pub(crate) struct Replay {
    here: Here,
    pub(super) channels: Numbered<ChannelState>,
    changes: HashMap<(u32, Sequence), Changed>,
    pub(super) keys: HashMap<u128, Key>,
    pub(super) shared: SharedPositions,
    /// Records of messages that are gone, or that lie elsewhere as well.
    pub(super) dead: Vec<Position>,
    /// What is known of the time.
    pub(crate) past: Past,
    /// Names of groups, each once.
    groups: HashSet<GroupName>,
    /// What is in the outboxes that are this core's.
    pub(super) leaving: HashMap<Outgoing, Leaving>,
    /// What was taken of other outboxes.
    pub(super) inbox: Inbox,
    /// Of the newest part of the log.
    pub(super) newest_part: PartTold,
    pub(super) known: Known,
    /// What the log says of channels that are not known.
    pub(super) said: Said,
    /// Channels that the log knows to be deleted, and their UIDs.
    pub(super) closed: Numbered<Uuid>,
    /// Bytes of the longest record that the log takes.
    longest_record: u64,
    /// Messages whose records are longer, with how long: an earlier start had larger segments.
    too_long: Vec<(u32, Sequence, u64)>,
}

/// What a copy of a record may say that the record did not: 0.1.0 had another form of a message.
const COPY_ADDS_BYTES: usize = 64;

/// A message of an outbox.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) message: Message,
    /// The channels that were still to have it when it was stored.
    pub(super) to_come: Vec<Target>,
}

impl Default for Replay {
    fn default() -> Self {
        Self::beside(Known::by(|_| None))
    }
}

impl Replay {
    /// Of all channels, of which these are known.
    pub(crate) fn beside(known: Known) -> Self {
        Self::of(Here::ALONE, known)
    }

    /// Of the channels of one core.
    fn of(here: Here, known: Known) -> Self {
        Self {
            here,
            channels: Numbered::default(),
            changes: HashMap::new(),
            keys: HashMap::new(),
            shared: SharedPositions::default(),
            dead: Vec::new(),
            past: Past::default(),
            groups: HashSet::new(),
            leaving: HashMap::new(),
            inbox: Inbox::default(),
            newest_part: PartTold::default(),
            known,
            said: Said::default(),
            closed: Numbered::default(),
            longest_record: u64::MAX,
            too_long: Vec::new(),
        }
    }

    /// Everything in a log that is one core's.
    pub(super) async fn read<L: Log>(log: &mut L, here: Here, known: Known) -> Result<Self, LogError> {
        let mut replay = Self { longest_record: log.longest_record(), ..Self::of(here, known) };
        let mut tell = |position, head: &RecordHead<'_>| {
            replay.newest_part.record(L::part_of(position), &head.record);
            replay.record(position, head);
        };
        while poll_fn(|context| log.poll_replay(&mut tell, context)).await? == Replayed::Part {}
        replay.finish();
        Ok(replay)
    }

    /// One more record.
    pub(crate) fn record(&mut self, position: Position, head: &RecordHead<'_>) {
        let RecordHead { record, content_bytes } = head;
        self.key(position, record);
        match *record {
            Record::Push { channel, sequence, enqueued_ms, .. } => {
                let stored = self.stored(position, enqueued_ms, *content_bytes);
                if self.here.has(channel) {
                    self.measure(channel, sequence, head);
                    self.message(channel, sequence, Message::new(stored));
                }
            }
            Record::Message { targets, enqueued_ms, due_ms, group, moved_from, .. } => {
                let here = self.here;
                match (moved_from, came_from(moved_from)) {
                    (_, Some(from)) => {
                        let own = targets.iter().filter(|target| here.has(target.channel));
                        own.for_each(|target| self.inbox.add(from, target.channel));
                    }
                    (Some((channel, sequence)), None) => self.gone(channel, sequence),
                    (None, None) => {}
                }
                let stored = self.stored(position, enqueued_ms, *content_bytes);
                let stored_by_this = |target: &Target| here.has(target.channel) && !target.is_to_come();
                let own = || targets.iter().filter(stored_by_this);
                let group = group.map(|group| self.group(group));
                self.shared.share(position, own().count());
                for Target { channel, sequence, expires_ms } in own() {
                    self.measure(channel, sequence, head);
                    let message = Message {
                        stored,
                        group: group.clone(),
                        expires_at: expires_ms,
                        handouts: Handouts::default(),
                        phase: records::first_phase(due_ms),
                        state_at: None,
                    };
                    if is_outbox(channel) {
                        let to_come = targets.iter().filter(Target::is_to_come).collect();
                        self.goes_out((channel, sequence), Leaving { message, to_come });
                    } else {
                        self.message(channel, sequence, message);
                    }
                }
                if own().next().is_none() && came_from(moved_from).is_some() {
                    // It says only that it was taken.
                    self.dead.push(position);
                }
            }
            Record::Lease { channel, sequence, delivery, uncounted, start, ends_ms } => {
                let handouts = Handouts { last: delivery, uncounted, start };
                let phase = Phase::Leased(ends_ms);
                self.changed(channel, sequence, Changed { handouts, phase, position, expires_at: None });
            }
            Record::Release { channel, sequence, delivery, counted } => {
                self.given_back(position, channel, sequence, delivery, counted);
            }
            Record::State { channel, sequence, delivery, uncounted, start, expires_ms, phase } => {
                let handouts = Handouts { last: delivery, uncounted, start };
                if let RecordedPhase::Dead { since_ms, .. } = phase {
                    self.past.saw(since_ms);
                }
                let (phase, expires_at) = (records::phase(phase), Some(expires_ms));
                self.changed(channel, sequence, Changed { handouts, phase, position, expires_at });
            }
            Record::Settle { channel, sequence } => self.gone(channel, sequence),
            Record::IdempotencyKey { .. } | Record::Key { .. } | Record::ChannelKey { .. } => {}
            Record::Channel { channel, uid, namespace, name } => {
                self.named(channel, Uuid::from_u128(uid), namespace, name);
            }
            Record::ChannelClosed { channel, uid } => self.closed(channel, Uuid::from_u128(uid)),
            Record::Clock { .. } => records::mark(record).into_iter().for_each(|mark| self.past.marked(mark)),
        }
    }

    fn key(&mut self, position: Position, record: &Record<'_>) {
        let Some((Idempotency { hash, expires_ms, .. }, _)) = record.key() else { return };
        // Whose it is was not always written down: then it may be anybody's.
        if record.key_channel().is_some_and(|channel| !self.here.has(channel)) {
            return;
        }
        let channel = record.key_channel().unwrap_or_default();
        let alone = !matches!(record, Record::Push { .. } | Record::Message { .. });
        let key = Key { position, expires_at: expires_ms, channel, alone };
        let known = self.keys.entry(hash).or_insert(key);
        // A key may be used again when its window is over, and the first message be copied after that.
        let older = if known.expires_at <= key.expires_at { std::mem::replace(known, key) } else { key };
        if older.alone && older.position != known.position {
            self.dead.push(older.position);
        }
    }

    fn given_back(
        &mut self,
        position: Position,
        channel: u32,
        sequence: Sequence,
        delivery: u32,
        counted: bool,
    ) {
        if !self.here.has(channel) {
            return;
        }
        self.saw(channel, sequence);
        let changed = self.changes.entry((channel, sequence)).or_insert(Changed {
            handouts: Handouts { last: delivery, ..Handouts::default() },
            phase: Phase::Leased(0),
            position,
            expires_at: None,
        });
        if changed.position != position {
            self.dead.push(std::mem::replace(&mut changed.position, position));
        }
        if matches!(changed.phase, Phase::Leased(_)) {
            let uncounted = &mut changed.handouts.uncounted;
            *uncounted = uncounted.saturating_add(u32::from(!counted));
            changed.phase = Phase::Ready(Some(Ended::Released));
        }
    }

    fn stored(&mut self, position: Position, enqueued_at: Millis, content_bytes: usize) -> Stored {
        self.past.saw(enqueued_at);
        Stored { position, bytes: content_bytes as u32, enqueued_at }
    }

    /// Takes note of a message that could not be copied.
    fn measure(&mut self, channel: u32, sequence: Sequence, head: &RecordHead<'_>) {
        // Nearly none: a head is far shorter than half of a segment.
        if (head.content_bytes as u64) < self.longest_record / 2 {
            return;
        }
        let bytes = (head.record.encoded_len() + head.content_bytes + COPY_ADDS_BYTES) as u64;
        if bytes > self.longest_record {
            self.too_long.push((channel, sequence, bytes));
        }
    }

    /// The longest message that the log could not copy, of those that are still in a channel or an outbox: a channel that it
    /// is for, and its bytes.
    pub(super) fn too_long(&self, is_there: impl Fn(u32, Sequence) -> bool) -> Option<(u32, u64)> {
        let there = self.too_long.iter().filter_map(|&(channel, sequence, bytes)| {
            let leaving = self.leaving.get(&(channel, sequence)).and_then(|leaving| leaving.to_come.first());
            let of = leaving.map(|target| target.channel);
            let of = of.or_else(|| is_there(channel, sequence).then_some(channel))?;
            Some((of, bytes))
        });
        there.max_by_key(|(_, bytes)| *bytes)
    }

    fn group(&mut self, name: &str) -> GroupName {
        if let Some(group) = self.groups.get(name) {
            return group.clone();
        }
        let group = GroupName::from(name);
        self.groups.insert(group.clone());
        group
    }

    fn message(&mut self, channel: u32, sequence: Sequence, message: Message) {
        if self.closed.contains_key(&channel) {
            return self.release(Some(message));
        }
        let older = self.channels.entry(channel).or_default().restore(sequence, message);
        self.release(older);
    }

    fn goes_out(&mut self, message: Outgoing, leaving: Leaving) {
        let older = self.leaving.insert(message, leaving);
        self.release(older.map(|older| older.message));
    }

    fn changed(&mut self, channel: u32, sequence: Sequence, mut changed: Changed) {
        if !self.here.has(channel) {
            return;
        }
        self.saw(channel, sequence);
        if let Some(before) = self.changes.get(&(channel, sequence)) {
            changed.expires_at = changed.expires_at.or(before.expires_at);
            self.dead.push(before.position);
        }
        self.changes.insert((channel, sequence), changed);
    }

    fn gone(&mut self, channel: u32, sequence: Sequence) {
        if !self.here.has(channel) {
            return;
        }
        if is_outbox(channel) {
            let gone = self.leaving.remove(&(channel, sequence));
            return self.release(gone.map(|gone| gone.message));
        }
        self.saw(channel, sequence);
        self.dead.extend(self.changes.remove(&(channel, sequence)).map(|changed| changed.position));
        if self.closed.contains_key(&channel) {
            return;
        }
        let message = self.channels.entry(channel).or_default().remove(sequence);
        self.release(message);
    }

    /// A copy of a message is needed no longer.
    fn release(&mut self, message: Option<Message>) {
        let Some(message) = message else { return };
        self.dead.extend(message.state_at);
        if self.shared.release(message.stored.position) {
            self.dead.push(message.stored.position);
        }
    }

    fn saw(&mut self, channel: u32, sequence: Sequence) {
        if self.closed.contains_key(&channel) {
            return;
        }
        self.channels.entry(channel).or_default().saw_sequence(sequence);
    }

    /// Applies to each message what happened to it. Leases that have ended end when time is first looked at.
    pub(crate) fn finish(&mut self) {
        let closed = &self.closed;
        // Looked at once and not at each deletion: there may be many of both.
        if !closed.is_empty() {
            self.keys.retain(|_, key| !closed.contains_key(&key.channel));
        }
        for ((channel, sequence), Changed { handouts, phase, position, expires_at }) in self.changes.drain() {
            let state = self.channels.get_mut(&channel);
            let Some((state, mut message)) =
                state.and_then(|state| state.remove(sequence).map(|message| (state, message)))
            else {
                self.dead.push(position);
                continue;
            };
            message.handouts = handouts;
            message.phase = phase;
            message.expires_at = expires_at.unwrap_or(message.expires_at);
            message.state_at = Some(position);
            state.restore(sequence, message);
        }
    }

    /// What is in outboxes goes to the channels that are still to have it, as after a start.
    pub(crate) fn hand_over(&mut self) {
        let mut leaving: Vec<_> = self.leaving.drain().collect();
        leaving.sort_unstable_by_key(|(_, leaving)| leaving.message.stored.position);
        for (from, Leaving { message, to_come }) in leaving {
            for Target { channel, expires_ms, .. } in to_come {
                if !self.inbox.knows(from, channel) && !self.closed.contains_key(&channel) {
                    let sequence = self.channels.entry(channel).or_default().next_sequence();
                    self.message(channel, sequence, Message { expires_at: expires_ms, ..message.clone() });
                }
            }
        }
    }

    /// The messages of each channel, by the channels' numbers.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (u32, &ChannelState)> {
        self.channels.iter().map(|(number, state)| (*number, state))
    }

    /// Nothing of a channel is kept but the sequences that it has given.
    pub(super) fn empty(&mut self, state: &mut ChannelState) {
        let sequences: Vec<_> = state.messages().map(|(sequence, _)| sequence).collect();
        for sequence in sequences {
            let message = state.remove(sequence);
            self.release(message);
        }
    }
}
