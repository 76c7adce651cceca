//! Room in the log that the stored messages may still need before they are gone. Pushes cannot use it, so that on a
//! full disk every message can still be leased, and every leased one settled.

use crate::{
    log::{ChannelId, Log, Purpose},
    shard::Shard,
};

/// Bytes of a message's state record, without the reason of a reject.
pub(in crate::shard) const STATE_BYTES: usize = 56;
/// Bytes of a record that removes a message or a parcel.
pub(in crate::shard) const SETTLE_BYTES: usize = 25;

/// Reserved for each message that was never leased: its state record. And for each lease: the settle, in a frame of its
/// own.
const RESERVED_BYTES: u64 = 56;

/// Pause before a retry when the log has no room, in milliseconds. Nothing reports when others on the volume have freed
/// some.
pub(in crate::shard) const ROOM_AGAIN_AFTER_MS: u64 = 500;

impl<L: Log> Shard<L> {
    /// Whether the log has room for a state record, for this purpose.
    pub(in crate::shard) fn has_room_for_state(&mut self, purpose: Purpose) -> bool {
        self.ledger.log.has_room(purpose, STATE_BYTES)
    }

    /// Updates the reserve after a change of a channel's messages.
    pub(in crate::shard) fn update_reserve(&mut self, channel_id: ChannelId) {
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
        let owed = channel.state.pending_records();
        let before = std::mem::replace(&mut channel.live.reserved_records, owed);
        if before != owed {
            self.change_reserve(before, owed);
        }
    }

    /// Changes a channel's part of the reserve. While there are older logs, nothing is reserved: they have no room for
    /// their messages' records, and settling those messages frees the logs.
    pub(in crate::shard) fn change_reserve(&mut self, before: u64, now: u64) {
        self.ledger.reserved_records = self.ledger.reserved_records + now - before;
        let promised =
            if self.ledger.log.has_older() { 0 } else { self.ledger.reserved_records * RESERVED_BYTES };
        self.ledger.log.promise(promised);
    }

    /// Releases the records of expired keys.
    pub(in crate::shard) fn release_expired_keys(&mut self) {
        for position in self.facts.keys.take_expired_records() {
            self.ledger.log.release(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Ended, ParcelId, ParcelNumber, Record, RecordedPhase, RemovalCause};

    #[test]
    fn the_reserve_of_a_message_is_enough() {
        let (channel, sequence) = (ChannelId(u64::MAX), u64::MAX);
        let phase = RecordedPhase::Ready(Ended::Expired);
        let state = Record::State {
            channel,
            sequence,
            delivery: u32::MAX,
            uncounted: u32::MAX,
            start: u64::MAX,
            expires_ms: Some(u64::MAX),
            phase,
        };
        assert_eq!(state.encoded_len(), STATE_BYTES);
        let removed = Record::Removed { channel, sequence, cause: RemovalCause::Settled };
        let parcel = ParcelId { shard: u32::MAX, number: ParcelNumber { epoch: u64::MAX, count: u64::MAX } };
        let delivered = Record::ParcelDelivered { parcel };
        assert_eq!(removed.encoded_len().max(delivered.encoded_len()), SETTLE_BYTES);
        assert!(STATE_BYTES as u64 <= RESERVED_BYTES);
    }
}
