//! Pushes: a message goes into one channel, or into several that share a destination.

use std::{iter::repeat_n, sync::Arc};

use restante_wire::channel::{Durability, SHARED_DESTINATION_CHANNELS_MAX};
use uuid::Uuid;

use crate::{
    address_store::ChannelEntry,
    channel::GroupName,
    clock::{Millis, after},
    log::{AppendError, ChannelId, Coming, Idempotency, Log, Position, Record, Sync, Target, Targets},
    shard::{
        Content, SenderTurn, Shard, ShardGone, StoreFailed, StoredMessage, Ticket,
        channels::{admission::Fullness, size::SizeLimit},
        keys::{PushKey, lookup::KeyRecords},
    },
};

/// A message to be stored.
#[derive(Debug, Clone)]
pub struct Push {
    pub content: Content,
    /// The idempotency key, by which a repeat is recognised.
    pub key: Option<PushKey>,
    pub group: Option<GroupName>,
    /// Time until the message is ready.
    pub delay: Option<Millis>,
    /// Time to live; `None` for the channel's default.
    pub ttl: Option<Millis>,
    /// Records of the key that were read: see [`crate::worker::Router::push`].
    pub key_records: KeyRecords,
}

#[derive(Debug)]
pub struct Pushed {
    pub id: Uuid,
    /// Whether this is the answer to an earlier push with the same key.
    pub replayed: bool,
    /// When the answer may be sent.
    pub ticket: Ticket,
}

/// Why a message was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushRefusal {
    /// The channel is being deleted.
    Closed,
    /// The channel drains before its deletion.
    Closing(Arc<ChannelEntry>),
    /// The channel is at its limit, or other senders wait for room.
    Full(Box<Fullness>),
    /// The channel's rate limit is exceeded.
    TooFast {
        /// The limit per second.
        per_second: u32,
        /// Time until the next push is accepted.
        wait_ms: u64,
    },
    /// The message alone exceeds a limit, so that it never fits.
    TooLarge {
        /// Its bytes, as the limit counts them.
        bytes: u64,
        limit: SizeLimit,
    },
    /// The limit of waiting senders is reached.
    TooManySenders {
        max: usize,
    },
    /// A push with the same key waits for room.
    KeyInProgress,
    /// Another message was pushed with the same key.
    KeyMismatch,
    /// The record of the same key is unreadable, so it is unknown whether this is a repeat.
    KeyUnreadable,
    /// The limit of remembered idempotency keys is reached.
    TooManyIdempotencyKeys,
    /// The disk only has room for records that empty it.
    StoreFull,
    /// Too many messages are in relay to channels of other shards.
    RelayFull,
    /// The channel has reached its share of the disk.
    DiskShare {
        entry: Arc<ChannelEntry>,
        /// Bytes that the channel stores.
        stored: u64,
        /// Bytes that are left for all channels.
        left: u64,
    },
    StoreFailed,
    Gone,
}

impl From<StoreFailed> for PushRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl From<ShardGone> for PushRefusal {
    fn from(_: ShardGone) -> Self {
        Self::Gone
    }
}

impl<L: Log> Shard<L> {
    /// Stores a message in all of the channels or in none, or returns the answer that its key got before. Waiting
    /// receivers get it in the same commit batch. `turn` is the place of a sender that waited for room.
    ///
    /// The first channel belongs to this shard. Channels of other shards have admitted the message.
    pub fn push(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        mut push: Push,
        turn: Option<SenderTurn>,
    ) -> Result<Pushed, PushRefusal> {
        let now = self.alive()?;
        if let Some(answered) = self.replayed(entries, &push, turn)? {
            return Ok(answered);
        }
        let window = window_seconds(entries);
        push.key = push.key.filter(|_| window > 0);
        self.check_size(entries, &push)?;
        let bytes = push.content.bytes() as u64;
        let here = self.here;
        let own = || entries.iter().filter(|entry| here.owns(entry.id));
        if own().count() < entries.len() && !self.outgoing.has_room(bytes) {
            return Err(PushRefusal::RelayFull);
        }
        let mut goes = Vec::new();
        for entry in own() {
            let sequences = self.admit(entry, bytes, turn)?;
            goes.extend(sequences.into_iter().map(|sequence| (entry.id, sequence)));
        }
        for entry in own() {
            self.spend_rate(entry)?;
        }
        let key = push.key.map(|PushKey { hash, fingerprint }| Idempotency {
            hash,
            fingerprint,
            expires_ms: after(now, Millis::from(window) * 1000),
        });
        let pushed = self.store(entries, push, key, now)?;
        for (channel_id, sequence) in goes {
            self.drop_message(channel_id, sequence)?;
        }
        for entry in own() {
            self.serve_waiting(entry.id);
            self.touch(entry.id);
        }
        Ok(pushed)
    }

    /// The answer that a push's key got before.
    pub(crate) fn replayed(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        push: &Push,
        turn: Option<SenderTurn>,
    ) -> Result<Option<Pushed>, PushRefusal> {
        let Some(key) = push.key.filter(|_| window_seconds(entries) > 0) else { return Ok(None) };
        let now = self.alive()?;
        let needs_relay = entries.iter().any(|entry| !self.here.owns(entry.id));
        self.replayed_answer(key, &push.key_records, turn, holder(entries), needs_relay, now)
    }

    /// Appends a message that all of its channels have admitted.
    fn store(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        push: Push,
        key: Option<Idempotency>,
        now: Millis,
    ) -> Result<Pushed, PushRefusal> {
        let Push { content, group, delay, ttl, .. } = push;
        let id = self.ids.next(self.clock.id_wall(now));
        let due_ms = delay.filter(|delay| *delay > 0).map(|delay| after(now, delay));
        let mut targets = [0; SHARED_DESTINATION_CHANNELS_MAX * Target::BYTES];
        let mut rest = &mut targets[..];
        let here = self.here;
        let own = entries.iter().filter(|entry| here.owns(entry.id));
        let others = || entries.iter().filter(|entry| !here.owns(entry.id));
        let expires =
            |entry: &ChannelEntry| ttl.or_else(|| entry.config.limits.ttl_ms()).map(|ttl| after(now, ttl));
        for entry in own {
            let sequence = self.facts.channels[&entry.id].state.next_sequence();
            Target { channel: entry.id, sequence, expires_ms: expires(entry) }.encode(&mut rest);
        }
        others().for_each(|entry| Target::to_come(entry.id, expires(entry)).encode(&mut rest));
        let targets = Targets::new(&targets[..entries.len() * Target::BYTES]);
        let needs_relay = others().next().is_some();
        let record = Record::Message {
            targets,
            parcel: needs_relay.then(|| self.outgoing.next()),
            message_id: id.as_u128(),
            enqueued_ms: now,
            idempotency: key,
            due_ms,
            group: group.as_deref(),
            moved_from: None,
            headers: &content.headers,
            body: &content.body,
        };
        let position = match self.append_message(&record) {
            Ok(position) => position,
            Err(AppendError::Full) => {
                // Expired keys take room as well.
                self.facts.keys.sweep_next(now);
                self.release_expired_keys();
                self.wakers.commit.notify_one();
                return Err(PushRefusal::StoreFull);
            }
            Err(AppendError::TooLarge(max)) => {
                let bytes = record.encoded_len() as u64;
                return Err(PushRefusal::TooLarge { bytes, limit: SizeLimit::Segment(max) });
            }
            Err(AppendError::Poisoned) => return Err(PushRefusal::StoreFailed),
        };
        self.apply(position, &record, None);
        if key.is_some() {
            self.release_expired_keys();
        }
        let own = || targets.iter().filter(|target| here.owns(target.channel));
        let durable = entries.iter().any(|entry| entry.config.durability == Durability::Fsync);
        let mut ticket = self.ledger.appended(if durable { Sync::Now } else { Sync::Later });
        if needs_relay {
            let bytes = content.bytes() as u64;
            let in_relay = self.in_relay(others().map(|entry| entry.id), bytes);
            let to = others().map(|entry| entry.id);
            ticket = self.relay(bytes, to, ticket, in_relay);
        }
        self.metrics.pushed.inc();
        self.metrics.message_bytes.observe(content.body.len() as f64);
        let recorded = StoredMessage { id, content };
        own()
            .zip(repeat_n(recorded, own().count()))
            .for_each(|(target, recorded)| self.arrived(target, recorded));
        Ok(Pushed { id, replayed: false, ticket: if durable { ticket } else { Ticket::committed() } })
    }
}

/// The channel in whose share a key counts: the first of several.
fn holder(entries: &[Arc<ChannelEntry>]) -> (ChannelId, &str) {
    entries.first().map_or((ChannelId(0), ""), |entry| (entry.id, &entry.config.namespace))
}

/// The time that a key is remembered.
fn window_seconds(entries: &[Arc<ChannelEntry>]) -> u32 {
    entries.iter().map(|entry| entry.config.deduplication_window_seconds).max().unwrap_or(0)
}

/// A push that is not decided yet: a record of its key is being read.
pub(crate) struct Undecided {
    pub(crate) push: Push,
    pub(crate) position: Position,
    pub(crate) coming: Coming,
}

impl<L: Log> Shard<L> {
    /// Pushes, unless a record of the key must be read first.
    pub(crate) fn try_push(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        push: Push,
        turn: Option<SenderTurn>,
    ) -> Result<Result<Pushed, PushRefusal>, Box<Undecided>> {
        match self.unread_key_record(&push) {
            Ok(None) => Ok(self.push(entries, push, turn)),
            Ok(Some((position, coming))) => Err(Box::new(Undecided { push, position, coming })),
            Err(failed) => Ok(Err(failed.into())),
        }
    }
}
