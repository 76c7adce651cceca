//! Size limits that a message can never meet: it is refused at once, however full its channel is, because no retry will
//! succeed.

use std::sync::Arc;

use restante_wire::channel::SHARED_DESTINATION_CHANNELS_MAX;

use crate::{
    address_store::ChannelEntry,
    log::{Idempotency, Log, ParcelId, ParcelNumber, Record, Target, Targets},
    shard::{Push, PushRefusal, Shard, keys::PushKey},
};

/// The limit that a message exceeds alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeLimit {
    /// The bytes of a channel.
    Channel(Arc<ChannelEntry>),
    /// The bytes of a whole record in a segment of the log.
    Segment(u64),
}

impl<L: Log> Shard<L> {
    /// Refuses a message that one of its channels, or the log, could not store even if empty.
    pub(crate) fn check_size(&self, entries: &[Arc<ChannelEntry>], push: &Push) -> Result<(), PushRefusal> {
        let bytes = push.content.bytes() as u64;
        if let Some(entry) = entries.iter().find(|entry| bytes > entry.config.limits.bytes) {
            return Err(PushRefusal::TooLarge { bytes, limit: SizeLimit::Channel(entry.clone()) });
        }
        let longest = self.ledger.log.longest_record();
        // Nearly all: the rest of a record is far shorter than half of a segment.
        if bytes <= longest / 2 {
            return Ok(());
        }
        let needs_relay = entries.iter().any(|entry| !self.here.owns(entry.id));
        let record = record_bytes(push, entries.len(), needs_relay) as u64;
        if record > longest {
            return Err(PushRefusal::TooLarge { bytes: record, limit: SizeLimit::Segment(longest) });
        }
        Ok(())
    }
}

/// Bytes of a message's record with this number of targets, and perhaps a parcel.
fn record_bytes(push: &Push, targets: usize, needs_relay: bool) -> usize {
    let zeros = [0; SHARED_DESTINATION_CHANNELS_MAX * Target::BYTES];
    let key = push.key.map(|PushKey { hash, fingerprint }| Idempotency { hash, fingerprint, expires_ms: 0 });
    let record = Record::Message {
        targets: Targets::new(&zeros[..targets * Target::BYTES]),
        parcel: needs_relay.then_some(ParcelId { shard: 0, number: ParcelNumber { epoch: 0, count: 0 } }),
        message_id: 0,
        enqueued_ms: 0,
        idempotency: key,
        due_ms: push.delay.filter(|delay| *delay > 0),
        group: push.group.as_deref(),
        moved_from: None,
        headers: &push.content.headers,
        body: &push.content.body,
    };
    record.encoded_len()
}
