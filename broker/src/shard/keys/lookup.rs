//! Lookup of idempotency keys. The key table has the positions of their records, and the records have the rest. A
//! record that is not in memory is read before the push is decided.

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    clock::Millis,
    log::{ChannelId, Coming, Log, Position, Read, RecordHead, Sync},
    shard::{Push, PushRefusal, Pushed, SenderTurn, Shard, StoreFailed, keys::PushKey},
};

/// Records of keys that were read for a push: at least the head of each; `None` for an unreadable one.
pub type KeyRecords = Vec<(Position, Option<Bytes>)>;

impl<L: Log> Shard<L> {
    /// A record that may hold a push's key, and is neither in memory nor read yet.
    pub(crate) fn unread_key_record(
        &mut self,
        push: &Push,
    ) -> Result<Option<(Position, Coming)>, StoreFailed> {
        let Some(key) = push.key else { return Ok(None) };
        for position in self.facts.keys.candidates(key.hash, self.clock.now()) {
            if push.key_records.iter().all(|(key_records, _)| *key_records != position)
                && let Ok(Read::Coming(coming)) = self.ledger.log.read(position)
            {
                return Ok(Some((position, coming)));
            }
        }
        Ok(None)
    }

    /// The answer that a key got before. `needs_relay`: the message is also for channels of other shards.
    pub(in crate::shard) fn replayed_answer(
        &mut self,
        key: PushKey,
        key_records: &KeyRecords,
        turn: Option<SenderTurn>,
        of: (ChannelId, &str),
        needs_relay: bool,
        now: Millis,
    ) -> Result<Option<Pushed>, PushRefusal> {
        let mut is_known = true;
        for position in self.facts.keys.candidates(key.hash, now) {
            let bytes = match key_records.iter().find(|(key_records, _)| *key_records == position) {
                Some((_, bytes)) => bytes.clone(),
                None => match self.ledger.log.read(position) {
                    Ok(Read::Here(bytes)) => Some(bytes),
                    // The record left the memory at this moment. The sender's retry reads it again.
                    Ok(Read::Coming(_)) => return Err(PushRefusal::KeyInProgress),
                    Err(error) => self.finish_key_read(position, Err(error))?,
                },
            };
            is_known &= bytes.is_some();
            let head = bytes.as_ref().and_then(|bytes| RecordHead::decode_first(bytes).ok());
            let Some((_, found, id)) = head.and_then(|(head, _)| head.record.key()) else { continue };
            if found.hash != key.hash {
                continue;
            }
            if found.fingerprint != key.fingerprint {
                return Err(PushRefusal::KeyMismatch);
            }
            self.metrics.push_replays.inc();
            // The first push may still be in the open batch, or in relay to other shards.
            let in_relay = if needs_relay { self.delivery_ticket(position) } else { None };
            let ticket = in_relay.unwrap_or_else(|| self.ticket_so_far(Sync::Now));
            return Ok(Some(Pushed { id: Uuid::from_u128(id), replayed: true, ticket }));
        }
        // The record almost certainly has this key. If not, the refusal is still true.
        if !is_known {
            return Err(PushRefusal::KeyUnreadable);
        }
        if turn.is_none() && self.waiting_keys.contains(&key.hash) {
            return Err(PushRefusal::KeyInProgress);
        }
        if !self.facts.keys.has_room(of, now) {
            return Err(PushRefusal::TooManyIdempotencyKeys);
        }
        Ok(None)
    }
}
