//! Into a channel, or into several that share a destination.

use std::sync::Arc;

use restante_wire::channel::{Durability, SHARED_DESTINATION_CHANNELS_MAX};
use uuid::Uuid;

use super::{
    Content, Core, CoreGone, Reach, Recorded, StoreFailed, Ticket, Turn, idempotency::PushKey,
    recall::Recalled, room::Fullness, store::Arrived,
};
use crate::{
    address_store::ChannelEntry,
    channel::{Group, Stored},
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
    ///
    /// The first of the channels is this core's. Those that are not have admitted it.
    pub fn push(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        mut push: Push,
        turn: Option<Turn>,
    ) -> Result<Pushed, PushRefusal> {
        let now = self.alive()?;
        if let Some(answered) = self.repeated(entries, &push, turn)? {
            return Ok(answered);
        }
        let window = window_seconds(entries);
        push.key = push.key.filter(|_| window > 0);
        let bytes = push.content.bytes() as u64;
        let here = self.here;
        let own = || entries.iter().filter(|entry| here.has(entry.number));
        let mut goes = Vec::new();
        for entry in own() {
            let sequences = self.admit(entry, bytes, turn)?;
            goes.extend(sequences.into_iter().map(|sequence| (entry.number, sequence)));
        }
        for entry in own() {
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
        for entry in own() {
            self.serve_waiting(entry.number);
            self.touch(entry.number);
        }
        Ok(pushed)
    }

    /// The answer that a push's key got before.
    fn repeated(
        &mut self,
        entries: &[Arc<ChannelEntry>],
        push: &Push,
        turn: Option<Turn>,
    ) -> Result<Option<Pushed>, PushRefusal> {
        let now = self.alive()?;
        let Some(key) = push.key.filter(|_| window_seconds(entries) > 0) else { return Ok(None) };
        self.answered(key, &push.recalled, turn, now)
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
        // The outbox may be among them.
        let mut targets = [0; (SHARED_DESTINATION_CHANNELS_MAX + 1) * Target::BYTES];
        let mut rest = &mut targets[..];
        let (here, out) = (self.here, self.outbox.next());
        let own = entries.iter().filter(|entry| here.has(entry.number));
        let others = || entries.iter().filter(|entry| !here.has(entry.number));
        let expires =
            |entry: &ChannelEntry| ttl.or_else(|| entry.config.limits.ttl_ms()).map(|ttl| now + ttl);
        for entry in own {
            let sequence = self.channels[&entry.number].state.next_sequence();
            Target { channel: entry.number, sequence, expires_ms: expires(entry) }.encode(&mut rest);
        }
        let goes_out = others().next().is_some();
        if goes_out {
            Target { channel: out.0, sequence: out.1, expires_ms: None }.encode(&mut rest);
            others().for_each(|entry| Target::to_come(entry.number, expires(entry)).encode(&mut rest));
        }
        let encoded = (entries.len() + usize::from(goes_out)) * Target::BYTES;
        let targets = Targets::new(&targets[..encoded]);
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
        let stored_here = targets.iter().filter(|target| here.has(target.channel)).count();
        self.shared.share(position, stored_here);
        let durable = entries.iter().any(|entry| entry.config.durability == Durability::Fsync);
        let mut ticket = self.appended(if durable { Sync::Now } else { Sync::Later });
        if goes_out {
            ticket = self.put_out(position, ticket);
        }
        self.metrics.pushed.inc();
        self.metrics.message_bytes.observe(content.body.len() as f64);
        let stored = Stored { position, bytes: content.bytes() as u32, enqueued_at: now };
        let recorded = Recorded { id, content: content.clone() };
        let arrived = Arrived { stored, recorded, group, due_ms };
        let own = targets.iter().filter(|target| here.has(target.channel) && target.channel != out.0);
        own.for_each(|target| self.arrive(target, &arrived));
        Ok(Pushed { id, replayed: false, ticket: if durable { ticket } else { Ticket::committed() } })
    }
}

/// For how long a key is remembered.
fn window_seconds(entries: &[Arc<ChannelEntry>]) -> u32 {
    entries.iter().map(|entry| entry.config.deduplication_window_seconds).max().unwrap_or(0)
}

impl<L: Log> Reach<L> {
    /// Stores a message in all of some channels or in none, by the core of the first: see [`Core::push`].
    pub async fn push(
        &self,
        entries: &Vec<Arc<ChannelEntry>>,
        mut push: Push,
        turn: Option<Turn>,
    ) -> Result<Pushed, PushRefusal> {
        let first = entries[0].number;
        self.recall(first, &mut push).await?;
        if self.are_apart(entries) {
            let asked = (entries.clone(), push);
            let repeated =
                self.ask(first, &asked, move |core, (entries, push)| core.repeated(entries, push, turn));
            if let Some(answered) = repeated.await?? {
                return Ok(answered);
            }
            push = asked.1;
            let bytes = push.content.bytes() as u64;
            for entry in entries.iter().filter(|entry| self.core_of(entry.number) != self.core_of(first)) {
                let admitted = self
                    .ask(entry.number, entry, move |core, entry| core.admit_from_afar(entry, bytes, turn));
                admitted.await??;
            }
        }
        self.ask(first, entries, move |core, entries| core.push(entries, push, turn)).await?
    }

    /// Whether channels are of several cores.
    pub fn are_apart(&self, entries: &[Arc<ChannelEntry>]) -> bool {
        entries.iter().any(|entry| self.core_of(entry.number) != self.core_of(entries[0].number))
    }
}
