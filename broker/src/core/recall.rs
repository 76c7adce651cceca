//! Keys that were seen before. The table of keys says where their records lie, and the records tell the rest; one that is not
//! in memory is read before the push that asks for it is decided.

use bytes::Bytes;
use uuid::Uuid;

use super::{Core, Push, PushRefusal, Pushed, StoreFailed, Turn, idempotency::PushKey};
use crate::{
    clock::Millis,
    log::{Coming, Log, Position, Read, RecordHead, Sync},
};

/// Records that tell of a key and were read for a push: the head of each, and perhaps more; nothing of one that cannot be read.
pub type Recalled = Vec<(Position, Option<Bytes>)>;

impl<L: Log> Core<L> {
    /// A record that tells of a push's key and is neither in memory nor among those that were read.
    pub(super) fn unread_of(&mut self, push: &Push) -> Result<Option<(Position, Coming)>, StoreFailed> {
        let Some(key) = push.key else { return Ok(None) };
        for position in self.idempotency.candidates(key.hash, self.clock.now()) {
            if push.recalled.iter().all(|(recalled, _)| *recalled != position)
                && let Ok(Read::Coming(coming)) = self.log.read(position)
            {
                return Ok(Some((position, coming)));
            }
        }
        Ok(None)
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
        let mut is_known = true;
        for position in self.idempotency.candidates(key.hash, now) {
            let bytes = match recalled.iter().find(|(recalled, _)| *recalled == position) {
                Some((_, bytes)) => bytes.clone(),
                None => match self.log.read(position) {
                    Ok(Read::Here(bytes)) => Some(bytes),
                    // Its record left the memory at this very moment. The sender's next try reads it again.
                    Ok(Read::Coming(_)) => return Err(PushRefusal::KeyInProgress),
                    Err(error) => self.came_of_key(position, Err(error))?,
                },
            };
            is_known &= bytes.is_some();
            let head = bytes.as_ref().and_then(|bytes| RecordHead::decode_first(bytes).ok());
            let Some((found, id)) = head.and_then(|(head, _)| head.record.key()) else { continue };
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
        // Nearly certainly it is this key's. And if it is not, the sender was told nothing that is untrue.
        if !is_known {
            return Err(PushRefusal::KeyUnreadable);
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
