//! Into a channel.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use uuid::Uuid;

use super::{
    Content, Core, Ticket,
    idempotency::{Answered, KeyHash},
};
use crate::{
    address_store::ChannelEntry,
    channel::Stored,
    log::{AppendError, Idempotency, Record, Sync},
};

/// A message on its way into a channel.
#[derive(Debug)]
pub struct Push {
    /// Its content.
    pub content: Content,
    /// Under which a repeat is recognised.
    pub key: Option<KeyHash>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushRefusal {
    /// The channel's deletion has begun.
    Closed,
    /// The channel holds as much as it may.
    ChannelFull {
        /// Messages that the next pulls get.
        ready: u64,
        /// Messages that receivers have leased.
        leased: u64,
        /// Bytes of both.
        bytes: u64,
    },
    /// The message does not fit a segment of the log.
    TooLarge {
        /// Bytes that do.
        max: u64,
    },
    /// More idempotency keys are remembered than may be.
    IdempotencyFull,
    /// The disk has room only for what empties it.
    StoreFull,
    /// The log failed.
    StoreFailed,
}

impl Core {
    /// Stores a message in a channel, or finds the answer that its key got before. A receiver that waits gets it in the
    /// same group.
    pub fn push(&mut self, entry: &Arc<ChannelEntry>, push: Push) -> Result<Pushed, PushRefusal> {
        if self.failed {
            return Err(PushRefusal::StoreFailed);
        }
        let now = self.clock.now();
        let number = entry.number;
        if let Some(answered) = push.key.and_then(|key| self.idempotency.get(key, now)) {
            self.metrics.push_replays.inc();
            // The first push may still be in the open group.
            return Ok(Pushed { id: answered.id, replayed: true, ticket: self.everything_so_far() });
        }
        if push.key.is_some() && self.idempotency.is_full(now) {
            return Err(PushRefusal::IdempotencyFull);
        }
        let channel = self.channel(entry).ok_or(PushRefusal::Closed)?;
        let (state, limits) = (&channel.state, &entry.config.limits);
        let bytes = push.content.bytes() as u32;
        if state.count() >= limits.messages || state.bytes() + u64::from(bytes) > limits.bytes {
            let (ready, leased, bytes) = (state.ready(), state.leased(), state.bytes());
            return Err(PushRefusal::ChannelFull { ready, leased, bytes });
        }

        let sequence = state.next_sequence();
        let id = Uuid::now_v7();
        let window = u64::from(entry.config.deduplication_window_seconds) * 1000;
        let key = push.key.filter(|_| window > 0);
        let record = Record::Push {
            channel: number,
            sequence,
            message_id: id.as_u128(),
            enqueued_ms: now,
            idempotency: key.map(|hash| Idempotency { hash, expires_ms: now + window }),
            headers: &push.content.headers,
            body: &push.content.body,
        };
        let position = self.log.append(&record).map_err(|error| match error {
            AppendError::Full => PushRefusal::StoreFull,
            AppendError::TooLarge(max) => PushRefusal::TooLarge { max },
            AppendError::Poisoned => PushRefusal::StoreFailed,
        })?;
        if let Some(hash) = key {
            self.idempotency.insert(hash, Answered { id, expires_at: now + window });
        }
        let ticket = self.appended(Sync::Now);
        self.metrics.pushed.inc();
        self.metrics.message_bytes.observe(push.content.body.len() as f64);
        self.contents.insert(number, sequence, push.content);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.state.store(Stored { position, bytes, enqueued_at: now, id });
            channel.counters.pushed.fetch_add(1, Relaxed);
        }
        self.serve_waiting(number);
        Ok(Pushed { id, replayed: false, ticket })
    }
}
