//! Keys that were seen before. The table of keys says where their records lie, and the records tell the rest; one that is not
//! in memory is read before the push that asks for it is decided.

use bytes::Bytes;
use uuid::Uuid;

use super::{Core, Push, PushRefusal, Pushed, StoreFailed, Turn, idempotency::PushKey, unreadable::Unread};
use crate::{
    clock::Millis,
    log::{Coming, Log, Position, Read, Record, Sync},
};

/// Records that tell of a key and were read for a push.
pub type Recalled = Vec<(Position, Bytes)>;

impl<L: Log> Core<L> {
    /// A record that tells of a push's key and is neither in memory nor among those that were read.
    pub(super) fn unread_of(&mut self, push: &Push) -> Result<Option<(Position, Coming)>, StoreFailed> {
        let Some(key) = push.key else { return Ok(None) };
        for position in self.idempotency.candidates(key.hash, self.clock.now()) {
            if push.recalled.iter().all(|(recalled, _)| *recalled != position)
                && let Read::Coming(coming) = self.read(position).map_err(|unread| self.key_unread(unread))?
            {
                return Ok(Some((position, coming)));
            }
        }
        Ok(None)
    }

    /// The record that tells of a key cannot be read: this push is refused, because it may be a repeat. Others go on.
    pub(super) fn key_unread(&self, unread: Unread) -> StoreFailed {
        if let Unread::Record(error) = unread {
            tracing::warn!(%error, "the record of an idempotency key cannot be read: pushes with this key are refused until it is forgotten");
            self.metrics.unreadable.inc();
        }
        StoreFailed
    }

    /// The answer that a key got before. `goes_out`: its message is also for channels of other cores.
    pub(super) fn answered(
        &mut self,
        key: PushKey,
        recalled: &Recalled,
        turn: Option<Turn>,
        of: (u32, &str),
        goes_out: bool,
        now: Millis,
    ) -> Result<Option<Pushed>, PushRefusal> {
        for position in self.idempotency.candidates(key.hash, now) {
            let bytes = match recalled.iter().find(|(recalled, _)| *recalled == position) {
                Some((_, bytes)) => bytes.clone(),
                None => match self.read(position).map_err(|unread| self.key_unread(unread))? {
                    Read::Here(bytes) => bytes,
                    // Its record left the memory at this very moment. The sender's next try reads it again.
                    Read::Coming(_) => return Err(PushRefusal::KeyInProgress),
                },
            };
            let Some((found, id)) = Record::decode(&bytes).ok().and_then(|record| record.key()) else {
                continue;
            };
            if found.hash != key.hash {
                continue;
            }
            if found.fingerprint != 0 && found.fingerprint != key.fingerprint {
                return Err(PushRefusal::KeyMismatch);
            }
            self.metrics.push_replays.inc();
            // The first push may still be in the open group, or other cores may be still to have it.
            let on_its_way = if goes_out { self.outbox.promise_of(position) } else { None };
            let ticket = on_its_way.unwrap_or_else(|| self.everything_so_far(Sync::Now));
            return Ok(Some(Pushed { id: Uuid::from_u128(id), replayed: true, ticket }));
        }
        if turn.is_none() && self.waiting_keys.contains(&key.hash) {
            return Err(PushRefusal::KeyInProgress);
        }
        if !self.idempotency.has_room(of, now) {
            return Err(PushRefusal::IdempotencyFull);
        }
        Ok(None)
    }
}
