//! The receiving side of the relay: parcels of other shards for channels of this one, each stored once. See
//! [`super::relay_out`].

use std::{collections::BTreeSet, iter::repeat_n};

use bytes::Bytes;

use super::{Core, StoreFailed, StoredMessage, Ticket, arrival::NewMessage, reclaim::Stopped};
use crate::{
    channel::{Sequence, Stored},
    log::{AppendError, ChannelId, Log, MovedFrom, ParcelId, Position, Record, Sync, Target, Targets},
};

/// Parcels that were stored and may arrive again, until their origin has removed them.
#[derive(Debug, Default)]
pub(super) struct RelayIn(BTreeSet<(ParcelId, ChannelId)>);

/// Outcome of a parcel.
#[derive(Debug)]
pub(super) enum Receipt {
    /// It is stored in its channels, now or since before.
    Stored(Ticket),
    /// The log only has room for records that empty it.
    NoRoom,
}

impl RelayIn {
    /// Notes that a channel has a parcel.
    pub(super) fn add(&mut self, message: ParcelId, channel: ChannelId) {
        self.0.insert((message, channel));
    }

    /// Whether a channel has, or had, a parcel that may arrive again.
    pub(super) fn knows(&self, message: ParcelId, channel: ChannelId) -> bool {
        self.0.contains(&(message, channel))
    }

    /// Keeps only parcels that may arrive again.
    pub(super) fn retain(&mut self, is_open: impl Fn(&ParcelId) -> bool) {
        self.0.retain(|(message, _)| is_open(message));
    }

    fn forget(&mut self, message: ParcelId) {
        let all = (message, ChannelId(0))..=(message, ChannelId(u64::MAX));
        let channels: Vec<_> = self.0.range(all).copied().collect();
        channels.iter().for_each(|known| {
            self.0.remove(known);
        });
    }
}

/// The records that remain of a message that is gone: that it left its origin, and that its key was used.
pub(crate) fn residual_records(record: &Record<'_>, visit: &mut impl FnMut(&Record<'_>)) {
    let Record::Message { targets, moved_from, .. } = *record else { return };
    match moved_from {
        Some(MovedFrom::Parcel(_)) => receipt_of(record, targets.iter(), |receipt| visit(receipt)),
        Some(MovedFrom::Channel { channel, sequence }) => visit(&Record::Settle { channel, sequence }),
        None => {}
    }
    if let Some((channel, idempotency, message_id)) = record.key() {
        visit(&Record::Key { channel, idempotency, message_id });
    }
}

/// Passes on a copy of a parcel's record that has only the receipt for these channels.
fn receipt_of<T>(
    record: &Record<'_>,
    by: impl Iterator<Item = Target>,
    visit: impl FnOnce(&Record<'_>) -> T,
) -> T {
    let mut encoded = Vec::new();
    by.for_each(|target| Target::to_come(target.channel, None).encode(&mut encoded));
    let mut receipt = *record;
    if let Record::Message { targets, parcel, idempotency, due_ms, group, headers, body, .. } = &mut receipt {
        *targets = Targets::new(&encoded);
        (*parcel, *idempotency, *due_ms, *group, *headers, *body) = (None, None, None, None, &[], &[]);
    }
    visit(&receipt)
}

impl<L: Log> Core<L> {
    /// Stores a parcel in its channels of this shard that do not have it. The origin has admitted it, so a channel that
    /// became full meanwhile exceeds its limit by one.
    pub(super) fn receive_parcel(&mut self, from: ParcelId, bytes: &Bytes) -> Result<Receipt, StoreFailed> {
        self.alive()?;
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
            moved_from: Some(MovedFrom::Parcel(from)),
            headers,
            body,
        };
        let position = match self.append_message(&record) {
            Ok(position) => position,
            Err(AppendError::Full) => return Ok(Receipt::NoRoom),
            // Not too large: the origin's record is longer, and a start refuses messages of an earlier start with
            // larger segments.
            Err(AppendError::Poisoned) => return self.check_appended(Err(AppendError::Poisoned)),
            Err(error @ AppendError::TooLarge(_)) => {
                tracing::error!(%error, "failed to store a message relayed from another shard; the next start retries");
                return Err(StoreFailed);
            }
        };
        self.shared.share(position, there.len());
        let ticket = self.appended(Sync::Now);
        let stored = Stored { position, bytes: size as u32, enqueued_at: enqueued_ms };
        let arrived = NewMessage { stored, recorded, group: group.map(Into::into), due_ms };
        for (target, arrived) in there.iter().zip(repeat_n(arrived, there.len())) {
            self.relay_in.add(from, target.channel);
            self.arrive(*target, arrived);
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
        if !self.here.owns(channel_id) || self.relay_in.knows(from, channel_id) {
            return None;
        }
        let entry = self.store.by_id(channel_id)?;
        self.channel(&entry).map(|channel| channel.state.next_sequence())
    }

    /// The origin has removed a parcel: it does not arrive again.
    pub(super) fn forget_parcel(&mut self, message: ParcelId) {
        self.relay_in.forget(message);
    }

    /// Copies the receipt of a parcel whose message is gone from its channels, if the parcel may arrive again.
    pub(super) fn keep_receipt(&mut self, record: &Record<'_>) -> Result<(), Stopped> {
        let Record::Message { targets, moved_from, .. } = *record else { return Ok(()) };
        let Some(from) = moved_from.and_then(MovedFrom::parcel) else { return Ok(()) };
        let gone = targets.iter().filter(|target| self.message(target.channel, target.sequence).is_none());
        let owed: Vec<_> = gone.filter(|target| self.relay_in.knows(from, target.channel)).collect();
        if owed.is_empty() {
            return Ok(());
        }
        let position: Position = receipt_of(record, owed.into_iter(), |taken| self.append_copy(taken))?;
        // Its body is not needed.
        self.log.release(position);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Idempotency;

    #[test]
    fn the_residual_of_a_message_is_its_origin_and_its_key() {
        let mut targets = Vec::new();
        Target { channel: ChannelId(4), sequence: 5, expires_ms: None }.encode(&mut targets);
        let idempotency = Some(Idempotency { hash: 1, fingerprint: 2, expires_ms: 3 });
        let from_channel = Some(MovedFrom::Channel { channel: ChannelId(9), sequence: 8 });
        let from_parcel = Some(MovedFrom::Parcel(ParcelId { shard: 3, place: 8 }));
        for (moved_from, idempotency) in
            [(None, None), (None, idempotency), (from_channel, None), (from_parcel, None)]
        {
            let record = Record::Message {
                targets: Targets::new(&targets),
                parcel: None,
                message_id: 6,
                enqueued_ms: 7,
                idempotency,
                due_ms: Some(1),
                group: Some("g"),
                moved_from,
                headers: b"h",
                body: b"b",
            };
            let mut records = Vec::new();
            residual_records(&record, &mut |record| match *record {
                Record::Settle { channel, sequence } => {
                    records.push(format!("left {}, {sequence}", channel.0))
                }
                Record::Key { channel, message_id, .. } => {
                    records.push(format!("key of {}, {message_id}", channel.0));
                }
                Record::Message {
                    targets,
                    moved_from,
                    headers: [],
                    body: [],
                    group: None,
                    due_ms: None,
                    ..
                } => {
                    assert!(targets.iter().all(|target| target.is_to_come()));
                    records.push(format!("taken {moved_from:?}"));
                }
                other => panic!("{other:?}"),
            });
            let expected = match (moved_from, idempotency) {
                (None, None) => Vec::new(),
                (None, Some(_)) => vec!["key of 4, 6".to_owned()],
                (Some(MovedFrom::Channel { .. }), _) => vec!["left 9, 8".to_owned()],
                (Some(MovedFrom::Parcel(_)), _) => vec![format!("taken {moved_from:?}")],
            };
            assert_eq!(records, expected);
        }
    }
}
