//! Whether a message can ever be stored: what exceeds a limit alone is refused at once, however full its channel is, because no
//! repeat of it is ever taken.

use std::sync::Arc;

use restante_wire::channel::SHARED_DESTINATION_CHANNELS_MAX;

use super::{Core, Push, PushRefusal, idempotency::PushKey};
use crate::{
    address_store::ChannelEntry,
    log::{Idempotency, Log, Record, Target, Targets},
};

/// The limit that a message exceeds alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeLimit {
    /// Of a channel, all messages together.
    Channel(Arc<ChannelEntry>),
    /// Of a segment of the log, in bytes of the whole record.
    Segment(u64),
}

impl<L: Log> Core<L> {
    /// Refuses a message that one of its channels, or the log, could not take if there were nothing else in it.
    pub(super) fn check_size(&self, entries: &[Arc<ChannelEntry>], push: &Push) -> Result<(), PushRefusal> {
        let bytes = push.content.bytes() as u64;
        if let Some(entry) = entries.iter().find(|entry| bytes > entry.config.limits.bytes) {
            return Err(PushRefusal::TooLarge { bytes, limit: SizeLimit::Channel(entry.clone()) });
        }
        let longest = self.log.longest_record();
        // Nearly all: what a record has beside the content is far less than half of a segment.
        if bytes <= longest / 2 {
            return Ok(());
        }
        let goes_out = entries.iter().any(|entry| !self.here.has(entry.number));
        let record = record_bytes(push, entries.len() + usize::from(goes_out)) as u64;
        if record > longest {
            return Err(PushRefusal::TooLarge { bytes: record, limit: SizeLimit::Segment(longest) });
        }
        Ok(())
    }
}

/// Bytes of the record of a message with so many targets.
fn record_bytes(push: &Push, targets: usize) -> usize {
    let zeros = [0; (SHARED_DESTINATION_CHANNELS_MAX + 1) * Target::BYTES];
    let key = push.key.map(|PushKey { hash, fingerprint }| Idempotency { hash, fingerprint, expires_ms: 0 });
    let record = Record::Message {
        targets: Targets::new(&zeros[..targets * Target::BYTES]),
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
