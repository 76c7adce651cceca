//! Storing parcels of other shards in channels of this one.

use std::iter::repeat_n;

use bytes::Bytes;

use crate::{
    channel::Sequence,
    log::{AppendError, ChannelId, Log, MovedFrom, ParcelId, ParcelNumber, Record, Sync, Target, Targets},
    shard::{Shard, StoreFailed, StoredMessage, Ticket},
};

/// Outcome of a parcel.
#[derive(Debug)]
pub(crate) enum Receipt {
    /// It is stored in its channels, now or since before.
    Stored(Ticket),
    /// The log only has room for records that empty it.
    NoRoom,
}

impl<L: Log> Shard<L> {
    /// Stores a parcel in its channels of this shard that do not have it. The origin has admitted it, so a channel that
    /// became full meanwhile exceeds its limit by one.
    pub(crate) fn receive_parcel(
        &mut self,
        from: ParcelId,
        floor: ParcelNumber,
        bytes: &Bytes,
    ) -> Result<Receipt, StoreFailed> {
        self.alive()?;
        self.facts.incoming.raise(from.shard, floor);
        let Ok(Record::Message { targets, enqueued_ms, due_ms, group, message_id, headers, body, .. }) =
            Record::decode(bytes)
        else {
            unreachable!("a parcel is a message")
        };
        let recorded = StoredMessage::of(bytes);
        let size = recorded.content.bytes();
        let to_come = targets.iter().filter(Target::is_to_come);
        let (mut there, mut goes) = (Vec::new(), Vec::new());
        for target in to_come {
            let Some(sequence) = self.sequence_for(from, target.channel) else { continue };
            there.push(Target { sequence, ..target });
            if let Some(entry) = self.store.by_id(target.channel) {
                let makes_room = self.admit(&entry, size as u64, None).unwrap_or_default();
                goes.extend(makes_room.into_iter().map(|sequence| (target.channel, sequence)));
            }
        }
        if there.is_empty() {
            return Ok(Receipt::Stored(self.ticket_so_far(Sync::Now)));
        }
        let mut encoded = Vec::with_capacity(there.len() * Target::BYTES);
        there.iter().for_each(|target| target.encode(&mut encoded));
        let record = Record::Message {
            targets: Targets::new(&encoded),
            parcel: None,
            message_id,
            enqueued_ms,
            idempotency: None,
            due_ms,
            group,
            moved_from: Some(MovedFrom::Parcel { parcel: from, floor }),
            headers,
            body,
        };
        let position = match self.append_message(&record) {
            Ok(position) => position,
            Err(AppendError::Full) => return Ok(Receipt::NoRoom),
            // Not too large: the origin's record has at least as many bytes, and a start refuses messages of an earlier
            // start with larger segments.
            Err(AppendError::Poisoned) => return self.ledger.check_appended(Err(AppendError::Poisoned)),
            Err(error @ AppendError::TooLarge(_)) => {
                tracing::error!(%error, "failed to store a message relayed from another shard; the next start retries");
                return Err(StoreFailed);
            }
        };
        self.apply(position, &record, None);
        let ticket = self.ledger.appended(Sync::Now);
        for (target, recorded) in there.iter().zip(repeat_n(recorded, there.len())) {
            self.arrived(*target, recorded);
        }
        for (channel_id, sequence) in goes {
            self.drop_message(channel_id, sequence)?;
        }
        for target in there {
            self.serve_waiting(target.channel);
            self.touch(target.channel);
        }
        Ok(Receipt::Stored(ticket))
    }

    /// The next sequence of a channel in this shard that does not have the parcel; none if the channel is being
    /// deleted.
    fn sequence_for(&mut self, from: ParcelId, channel_id: ChannelId) -> Option<Sequence> {
        if !self.here.owns(channel_id) || self.facts.incoming.knows(from, channel_id) {
            return None;
        }
        let entry = self.store.by_id(channel_id)?;
        self.channel(&entry).map(|channel| channel.state.next_sequence())
    }
}
