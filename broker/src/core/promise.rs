//! Room that the messages that are there may still need in the log before they are gone. The log keeps it from pushes, so that
//! on a full disk each of them can be leased, and each that is leased can be settled.

use super::Core;
use crate::{
    channel::Sequence,
    log::{Log, Position, Purpose},
};

/// Bytes of everything about a message that changes, but for the reason of a rejection.
pub(super) const STATE_BYTES: usize = 52;
/// Bytes of a settle.
pub(super) const SETTLE_BYTES: usize = 17;

/// What is kept for a message that was never leased, which is its state once it was; and for one that is leased, which is its
/// settle in a frame of its own.
const OWED_BYTES: u64 = 56;

/// When something is tried again for which the log has no room, in milliseconds. Nobody tells when others on the volume have
/// made some.
pub(super) const ROOM_AGAIN_AFTER_MS: u64 = 500;

impl<L: Log> Core<L> {
    /// Whether the log has room to write the state of a message down, for this purpose.
    pub(super) fn has_room_for_state(&mut self, purpose: Purpose) -> bool {
        self.log.has_room(purpose, STATE_BYTES)
    }

    /// What is to be said of a message was written to the log.
    pub(super) fn recorded(&mut self, number: u32, sequence: Sequence, position: Position) {
        let before = match self.channels.get_mut(&number) {
            Some(channel) => channel.state.record_at(sequence, position),
            None => Some(position),
        };
        if let Some(before) = before {
            self.log.release(before);
        }
    }

    /// What a channel's messages are owed may have changed.
    pub(super) fn promise_for(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let owed = channel.state.pending_records();
        let before = std::mem::replace(&mut channel.owed, owed);
        if before != owed {
            self.owe(before, owed);
        }
    }

    /// A channel's part of what is owed is another. While there are older logs nothing is promised: they have no room for what
    /// their messages are owed, and what is settled of them frees them.
    pub(super) fn owe(&mut self, before: u64, now: u64) {
        self.owed = self.owed + now - before;
        let promised = if self.log.has_older() { 0 } else { self.owed * OWED_BYTES };
        self.log.promise(promised);
    }

    /// Keys that are forgotten are not needed in the log any more.
    pub(super) fn release_keys(&mut self) {
        for position in self.idempotency.take_forgotten() {
            self.log.release(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Ended, Record, RecordedPhase};

    #[test]
    fn what_is_kept_for_a_message_is_enough() {
        let (channel, sequence) = (u32::MAX, u64::MAX);
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
        assert_eq!(Record::Settle { channel, sequence }.encoded_len(), SETTLE_BYTES);
        assert!(STATE_BYTES as u64 <= OWED_BYTES);
    }
}
