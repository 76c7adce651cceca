//! Message records for tests.

use super::{ChannelId, Record, Target, Targets};

/// One target in the encoding of a record, which borrows it.
pub struct EncodedTarget(Vec<u8>);

impl EncodedTarget {
    pub fn of(channel: ChannelId, sequence: u64) -> Self {
        let mut bytes = Vec::new();
        Target { channel, sequence, expires_ms: None }.encode(&mut bytes);
        Self(bytes)
    }

    /// A message with this target and body, and no optional field. Its id is the sequence.
    pub fn message<'a>(&'a self, body: &'a [u8]) -> Record<'a> {
        let targets = Targets::new(&self.0);
        Record::Message {
            targets,
            parcel: None,
            message_id: targets.first().sequence.into(),
            enqueued_ms: 0,
            idempotency: None,
            due_ms: None,
            group: None,
            moved_from: None,
            headers: &[],
            body,
        }
    }
}
