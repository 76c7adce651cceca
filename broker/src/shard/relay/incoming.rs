//! The parcels of other shards that this one has, each stored once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    log::{ChannelId, Log, MovedFrom, ParcelId, ParcelNumber, Record, RemovalCause, Target, Targets},
    shard::{Shard, reclaim::Stopped},
};

/// The parcels that were stored and may arrive again.
#[derive(Debug, Default)]
pub(in crate::shard) struct IncomingParcels {
    /// From the floor of their shard on, by channel.
    receipts: BTreeSet<(ParcelId, ChannelId)>,
    /// Below its floor, every parcel of a shard is delivered.
    floors: BTreeMap<u32, ParcelNumber>,
    /// Shards of which the walk over the oldest segment has copied the floor.
    copied: BTreeSet<u32>,
}

impl IncomingParcels {
    /// Notes that a channel has a parcel.
    pub(in crate::shard) fn add(&mut self, parcel: ParcelId, channel: ChannelId) {
        if !self.is_below_floor(parcel) {
            self.receipts.insert((parcel, channel));
        }
    }

    /// Whether a channel has, or had, a parcel that may arrive again.
    pub(in crate::shard) fn knows(&self, parcel: ParcelId, channel: ChannelId) -> bool {
        self.is_below_floor(parcel) || self.receipts.contains(&(parcel, channel))
    }

    /// Raises the floor of a shard: floors of several logs merge by their maximum.
    pub(in crate::shard) fn raise(&mut self, shard: u32, floor: ParcelNumber) {
        let known = self.floors.entry(shard).or_insert(floor);
        *known = floor.max(*known);
        let id = |number| (ParcelId { shard, number }, ChannelId(0));
        let below = id(ParcelNumber { epoch: 0, count: 0 })..id(*known);
        let forgotten: Vec<_> = self.receipts.range(below).copied().collect();
        for receipt in forgotten {
            self.receipts.remove(&receipt);
        }
    }

    /// [`Self::raise`], if this shard has a floor.
    fn raise_known(&mut self, shard: u32, floor: ParcelNumber) {
        if self.floors.contains_key(&shard) {
            self.raise(shard, floor);
        }
    }

    /// The floors, and the receipts from them on.
    #[cfg(test)]
    pub(in crate::shard) fn described(
        &self,
    ) -> (BTreeMap<u32, ParcelNumber>, BTreeSet<(ParcelId, ChannelId)>) {
        (self.floors.clone(), self.receipts.clone())
    }

    /// The floor of a shard.
    #[cfg(test)]
    pub(in crate::shard) fn floor_of(&self, shard: u32) -> Option<ParcelNumber> {
        self.floors.get(&shard).copied()
    }

    /// The walk over a segment has ended.
    pub(in crate::shard) fn end_walk(&mut self) {
        self.copied.clear();
    }

    fn is_below_floor(&self, ParcelId { shard, number }: ParcelId) -> bool {
        self.floors.get(&shard).is_some_and(|floor| number < *floor)
    }
}

/// The records that remain of a message that is gone: that it left its origin, and that its key was used.
pub(crate) fn residual_records(record: &Record<'_>, visit: &mut impl FnMut(&Record<'_>)) {
    let Record::Message { targets, moved_from, .. } = *record else { return };
    match moved_from {
        Some(MovedFrom::Parcel { .. }) => receipt_of(record, targets.iter(), |receipt| visit(receipt)),
        Some(MovedFrom::Channel { channel, sequence }) => {
            visit(&Record::Removed { channel, sequence, cause: RemovalCause::Moved });
        }
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

impl<L: Log> Shard<L> {
    /// The origin of parcels reports its floor.
    pub(crate) fn floor_told(&mut self, shard: u32, floor: ParcelNumber) {
        self.facts.incoming.raise_known(shard, floor);
    }

    /// Copies the receipt of a parcel whose message is gone from its channels, if the parcel may arrive again.
    pub(in crate::shard) fn keep_receipt(&mut self, record: &Record<'_>) -> Result<(), Stopped> {
        let Record::Message { targets, moved_from: Some(MovedFrom::Parcel { parcel, .. }), .. } = *record
        else {
            return Ok(());
        };
        self.keep_floor(parcel.shard)?;
        let gone = targets.iter().filter(|target| self.message(target.channel, target.sequence).is_none());
        let owed: Vec<_> =
            gone.filter(|target| self.facts.incoming.receipts.contains(&(parcel, target.channel))).collect();
        if owed.is_empty() {
            return Ok(());
        }
        receipt_of(record, owed.into_iter(), |taken| self.append_copy(taken, None))
    }

    /// The walked part of the log has a floor of this shard, perhaps the newest: writes the newest, once per walk. It
    /// also covers the receipts in this part that are no longer needed.
    pub(in crate::shard) fn keep_floor(&mut self, shard: u32) -> Result<(), Stopped> {
        if let Some(floor) = self.facts.incoming.floors.get(&shard).copied()
            && self.facts.incoming.copied.insert(shard)
        {
            self.append_copy(&Record::ParcelFloor { shard, floor }, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Idempotency;

    fn parcel(shard: u32, epoch: u64, count: u64) -> ParcelId {
        ParcelId { shard, number: ParcelNumber { epoch, count } }
    }

    #[test]
    fn a_parcel_below_the_floor_of_its_shard_is_known_without_a_receipt() {
        let (one, two) = (ChannelId(1), ChannelId(2));
        let mut incoming = IncomingParcels::default();
        incoming.add(parcel(3, 1, 5), one);
        incoming.add(parcel(3, 2, 0), one);
        incoming.add(parcel(4, 1, 5), one);
        incoming.raise(3, ParcelNumber { epoch: 2, count: 0 });
        incoming.raise(3, ParcelNumber { epoch: 1, count: 9 });
        assert_eq!(incoming.receipts.len(), 2, "one is below the floor");
        assert!(incoming.knows(parcel(3, 1, 5), one) && incoming.knows(parcel(3, 1, 99), two));
        assert!(incoming.knows(parcel(3, 2, 0), one) && !incoming.knows(parcel(3, 2, 0), two));
        assert!(!incoming.knows(parcel(4, 1, 4), one), "of another shard");
        incoming.add(parcel(3, 1, 6), two);
        assert_eq!(incoming.receipts.len(), 2, "it needs no receipt");
    }

    #[test]
    fn the_residual_of_a_message_is_its_origin_and_its_key() {
        let mut targets = Vec::new();
        Target { channel: ChannelId(4), sequence: 5, expires_ms: None }.encode(&mut targets);
        let idempotency = Some(Idempotency { hash: 1, fingerprint: 2, expires_ms: 3 });
        let from_channel = Some(MovedFrom::Channel { channel: ChannelId(9), sequence: 8 });
        let floor = ParcelNumber { epoch: 1, count: 7 };
        let from_parcel = Some(MovedFrom::Parcel { parcel: parcel(3, 1, 8), floor });
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
                Record::Removed { channel, sequence, cause: RemovalCause::Moved } => {
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
                (Some(MovedFrom::Parcel { .. }), _) => vec![format!("taken {moved_from:?}")],
            };
            assert_eq!(records, expected);
        }
    }
}
