//! Into a channel, or into several that share a destination.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use restante_wire::channel::{Durability, SHARED_DESTINATION_CHANNELS_MAX};
use uuid::Uuid;

use super::{
    Content, Core, CoreGone, Recorded, StoreFailed, Ticket, Turn, idempotency::PushKey, recall::Recalled,
    records, room::Fullness,
};
use crate::{
    address_store::ChannelEntry,
    channel::{Group, Handouts, Message, Stored},
    clock::Millis,
    log::{AppendError, Idempotency, Log, Record, Sync, Target, Targets},
};

/// A message on its way into a channel.
#[derive(Debug, Clone)]
pub struct Push {
    /// Its content.
    pub content: Content,
    /// Under which a repeat is recognised.
    pub key: Option<PushKey>,
    /// The group that it belongs to.
    pub group: Option<Group>,
    /// For how long nobody gets it.
    pub delay: Option<Millis>,
    /// How long it is kept; absent, as long as the channel says.
    pub ttl: Option<Millis>,
    /// What was read of the key: see [`super::Reach::recall`].
    pub recalled: Recalled,
}

/// A message in its channel.
#[derive(Debug)]
pub struct Pushed {
    /// Its id.
    pub id: Uuid,
    /// Whether this is the answer that an earlier push under the same key got.
    pub replayed: bool,
    /// When the answer may leave.
    pub ticket: Ticket,
}

/// Why a message was not taken. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushRefusal {
    /// The channel's deletion has begun.
    Closed,
    /// The channel drains before it is deleted.
    Closing(Arc<ChannelEntry>),
    /// The channel holds as much as it may, or others wait for room.
    Full(Box<Fullness>),
    /// Messages come faster than the channel takes them.
    TooFast {
        /// How many it takes in a second.
        per_second: u32,
        /// How long until it takes the next.
        wait_ms: u64,
    },
    /// The message does not fit a segment of the log.
    TooLarge {
        /// Bytes that do.
        max: u64,
    },
    /// A push under the same key waits for room.
    KeyInProgress,
    /// Something else was pushed under the same key.
    KeyMismatch,
    /// More idempotency keys are remembered than may be.
    IdempotencyFull,
    /// The disk has room only for what empties it.
    StoreFull,
    /// The log failed.
    StoreFailed,
    /// The broker is shutting down.
    Gone,
}

impl From<StoreFailed> for PushRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl From<CoreGone> for PushRefusal {
    fn from(_: CoreGone) -> Self {
        Self::Gone
    }
}

impl<L: Log> Core<L> {
    /// Stores a message in all of some channels or in none, or finds the answer that its key got before. Receivers that
    /// wait get it in the same group. `turn` is the place of a sender that waited for room.
    pub fn push(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        mut push: Push,
        turn: Option<Turn>,
    ) -> Result<Pushed, PushRefusal> {
        let now = self.alive()?;
        let window = entries.iter().map(|entry| entry.config.deduplication_window_seconds).max().unwrap_or(0);
        push.key = push.key.filter(|_| window > 0);
        if let Some(key) = push.key
            && let Some(answered) = self.answered(key, &push.recalled, turn, now)?
        {
            return Ok(answered);
        }
        let bytes = push.content.bytes() as u64;
        let mut goes = Vec::new();
        for entry in entries {
            let sequences = self.admit(entry, bytes, turn)?;
            goes.extend(sequences.into_iter().map(|sequence| (entry.number, sequence)));
        }
        for entry in entries {
            self.spend_rate(entry)?;
        }
        let key = push.key.map(|PushKey { hash, fingerprint }| Idempotency {
            hash,
            fingerprint,
            expires_ms: now + Millis::from(window) * 1000,
        });
        let pushed = self.store(entries, push, key, now)?;
        for (number, sequence) in goes {
            self.drop_message(number, sequence)?;
        }
        for entry in entries {
            self.serve_waiting(entry.number);
            self.touch(entry.number);
        }
        Ok(pushed)
    }

    /// Appends a message that all of its channels take.
    fn store(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        push: Push,
        key: Option<Idempotency>,
        now: Millis,
    ) -> Result<Pushed, PushRefusal> {
        let Push { content, group, delay, ttl, .. } = push;
        let id = Uuid::now_v7();
        let due_ms = delay.filter(|delay| *delay > 0).map(|delay| now + delay);
        let mut targets = [0; SHARED_DESTINATION_CHANNELS_MAX * Target::BYTES];
        let mut rest = &mut targets[..];
        for entry in entries {
            let sequence = self.channels[&entry.number].state.next_sequence();
            let ttl = ttl.or_else(|| entry.config.limits.ttl_ms());
            Target { channel: entry.number, sequence, expires_ms: ttl.map(|ttl| now + ttl) }
                .encode(&mut rest);
        }
        let targets = Targets::new(&targets[..entries.len() * Target::BYTES]);
        let record = Record::Message {
            targets,
            message_id: id.as_u128(),
            enqueued_ms: now,
            idempotency: key,
            due_ms,
            group: group.as_deref(),
            moved_from: None,
            headers: &content.headers,
            body: &content.body,
        };
        let position = self.log.append(&record).map_err(|error| match error {
            AppendError::Full => PushRefusal::StoreFull,
            AppendError::TooLarge(max) => PushRefusal::TooLarge { max },
            AppendError::Poisoned => PushRefusal::StoreFailed,
        })?;
        if let Some(Idempotency { hash, expires_ms, .. }) = key {
            self.idempotency.insert(hash, expires_ms, position, now);
        }
        self.shared.share(position, entries.len());
        let durable = entries.iter().any(|entry| entry.config.durability == Durability::Fsync);
        let ticket = self.appended(if durable { Sync::Now } else { Sync::Later });
        self.metrics.pushed.inc();
        self.metrics.message_bytes.observe(content.body.len() as f64);
        let stored = Stored { position, bytes: content.bytes() as u32, enqueued_at: now };
        let recorded = Recorded { id, content: content.clone() };
        for Target { channel: number, sequence, expires_ms } in targets.iter() {
            self.contents.insert(number, sequence, recorded.clone());
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            channel.counters.pushed.fetch_add(1, Relaxed);
            channel.state.store(Message {
                stored,
                group: group.clone(),
                expires_at: expires_ms,
                handouts: Handouts::default(),
                phase: records::first_phase(due_ms),
            });
        }
        Ok(Pushed { id, replayed: false, ticket: if durable { ticket } else { Ticket::committed() } })
    }
}
