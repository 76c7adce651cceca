//! The parcels of a shard for others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    log::{ChannelId, Log, ParcelId, ParcelNumber, Position, Purpose, Read, Record, Sync},
    shard::{
        SHARDS_MAX, Shard, StoreFailed, Ticket,
        ledger::{commit_batch::CommitBatch, reserve::SETTLE_BYTES},
        placement::Placement,
        relay::InRelay,
    },
};

/// Maximum of parcels from the floor on. A receiver remembers each of them, in some 60 bytes for each of its channels:
/// 4 MB in all.
pub(in crate::shard) const PARCELS_MAX: u64 = if cfg!(test) { 1 << 8 } else { 1 << 16 };
/// Maximum bytes of all parcels. Sixteen of the longest messages.
const BYTES_MAX: u64 = 256 << 20;

/// The parcels that a shard sends: its own, and those of shards that do not exist any more.
#[derive(Debug)]
pub(in crate::shard) struct OutgoingParcels {
    /// This shard's index.
    shard: u32,
    /// The number of the next parcel.
    next: ParcelNumber,
    /// Parcels in the log.
    parcels: BTreeMap<ParcelId, StoredParcel>,
    /// Parcels whose removal is not committed. The lowest of a shard is its floor.
    open: BTreeSet<ParcelId>,
    /// Bytes of all parcels.
    bytes: u64,
    /// Parcels that no task sends yet.
    waiting: Vec<Parcel>,
}

/// A parcel in the log.
#[derive(Debug)]
struct StoredParcel {
    bytes: u64,
    /// Finished when every shard has it.
    delivered: Arc<CommitBatch>,
}

/// A parcel to be sent.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) id: ParcelId,
    /// One channel of each receiving shard.
    pub(crate) to: Vec<ChannelId>,
    /// Committed when the decision is.
    pub(crate) decided: Ticket,
    /// Finished when every shard has it.
    pub(crate) delivered: Arc<CommitBatch>,
    /// Counts it in relay to its channels.
    pub(crate) in_relay: InRelay,
}

/// A parcel that an earlier start has left.
#[derive(Debug)]
pub(in crate::shard) struct LeftParcel {
    pub(in crate::shard) id: ParcelId,
    pub(in crate::shard) bytes: u64,
    /// The channels to come.
    pub(in crate::shard) to: Vec<ChannelId>,
    pub(in crate::shard) in_relay: InRelay,
}

impl OutgoingParcels {
    /// The parcels that earlier starts have left.
    pub(in crate::shard) fn new(here: Placement, epoch: u64, mut left: Vec<LeftParcel>) -> Self {
        // Roughly the order in which they were stored.
        left.sort_unstable_by_key(|left| (left.id.number, left.id.shard));
        let mut outgoing = Self {
            shard: here.shard as u32,
            next: ParcelNumber { epoch, count: 0 },
            parcels: BTreeMap::new(),
            open: BTreeSet::new(),
            bytes: 0,
            waiting: Vec::new(),
        };
        for LeftParcel { id, bytes, to, in_relay } in left {
            let to = one_per_shard(here, to.into_iter());
            // Nobody waits for it.
            let _ = outgoing.add(id, bytes, to, Ticket::committed(), in_relay);
        }
        outgoing
    }

    /// The next parcel's id.
    pub(in crate::shard) fn next(&self) -> ParcelId {
        ParcelId { shard: self.shard, number: self.next }
    }

    pub(in crate::shard) fn len(&self) -> usize {
        self.parcels.len()
    }

    #[cfg(test)]
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a parcel with this many bytes may be stored.
    pub(in crate::shard) fn has_room(&self, bytes: u64) -> bool {
        // A parcel of an earlier start leaves the floor below all of this start's.
        let earlier = self.open.range(..ParcelId { shard: self.shard, number: self.begin() }).count() as u64;
        let floor = self.floor_of(self.shard).max(self.begin());
        let numbers = if earlier > 0 { self.next.count } else { self.next.count - floor.count };
        earlier + numbers < PARCELS_MAX && self.bytes + bytes <= BYTES_MAX
    }

    /// The number of this start's first parcel.
    fn begin(&self) -> ParcelNumber {
        ParcelNumber { count: 0, ..self.next }
    }

    /// The number below which all parcels of a shard are delivered.
    pub(super) fn floor_of(&self, shard: u32) -> ParcelNumber {
        let lowest = ParcelId { shard, number: ParcelNumber { epoch: 0, count: 0 } };
        let open = self.open.range(lowest..).next().filter(|open| open.shard == shard);
        open.map_or(self.next, |open| open.number)
    }

    /// Whether this start assigned an id.
    pub(in crate::shard) fn has_assigned(&self, ParcelId { shard, number }: ParcelId) -> bool {
        shard == self.shard && number >= self.begin() && number < self.next
    }

    /// A ticket for the delivery of a parcel.
    fn ticket(&self, id: ParcelId) -> Option<Ticket> {
        self.parcels.get(&id).map(|stored| Ticket::of(&stored.delivered, Sync::Later))
    }

    /// Adds a parcel. Returns a ticket for its delivery.
    fn add(
        &mut self,
        id: ParcelId,
        bytes: u64,
        to: Vec<ChannelId>,
        decided: Ticket,
        in_relay: InRelay,
    ) -> Ticket {
        let delivered = Arc::<CommitBatch>::default();
        let ticket = Ticket::of(&delivered, Sync::Later);
        self.parcels.insert(id, StoredParcel { bytes, delivered: delivered.clone() });
        self.open.insert(id);
        self.bytes += bytes;
        self.waiting.push(Parcel { id, to, decided, delivered, in_relay });
        ticket
    }

    /// The removal of a parcel is committed.
    pub(super) fn removed(&mut self, id: ParcelId) {
        self.open.remove(&id);
    }
}

/// Of some channels, one for each of their shards.
fn one_per_shard(here: Placement, channels: impl Iterator<Item = ChannelId>) -> Vec<ChannelId> {
    let of_each: BTreeMap<usize, ChannelId> =
        channels.map(|channel| (here.shard_of(channel), channel)).collect();
    of_each.into_values().collect()
}

impl<L: Log> Shard<L> {
    /// Registers a message that was stored under the next id, for channels of other shards. Returns a ticket for its
    /// delivery.
    pub(in crate::shard) fn relay(
        &mut self,
        bytes: u64,
        to: impl Iterator<Item = ChannelId>,
        decided: Ticket,
        in_relay: InRelay,
    ) -> Ticket {
        let (id, to) = (self.outgoing.next(), one_per_shard(self.here, to));
        self.outgoing.next.count += 1;
        let ticket = self.outgoing.add(id, bytes, to, decided, in_relay);
        self.wakers.relay.notify_one();
        ticket
    }

    /// The floor of a shard whose parcels this one sends.
    pub(crate) fn floor_of(&self, shard: u32) -> ParcelNumber {
        self.outgoing.floor_of(shard)
    }

    /// The floor of each shard whose parcels this one sends, including shards that do not exist any more.
    pub(crate) fn floors(&self) -> Vec<(u32, ParcelNumber)> {
        let shards = (self.here.shard as u32..SHARDS_MAX as u32).step_by(self.here.shards);
        shards.map(|shard| (shard, self.outgoing.floor_of(shard))).collect()
    }

    /// The removal of a parcel is committed. Returns the floor of its shard.
    pub(crate) fn parcel_removed(&mut self, id: ParcelId) -> ParcelNumber {
        self.outgoing.removed(id);
        self.outgoing.floor_of(id.shard)
    }

    /// Takes the parcels that no task sends yet.
    pub(crate) fn take_unsent(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.outgoing.waiting)
    }

    /// Reads the record of a parcel.
    pub(crate) fn read_parcel(&mut self, id: ParcelId) -> Result<Option<Read>, StoreFailed> {
        self.alive()?;
        let position = self.facts.parcels.get(&id).map(|open| open.message.stored.position);
        let read = position.map(|position| self.ledger.log.read(position)).transpose();
        read.map_err(|error| self.parcel_unreadable(id, error))
    }

    /// Removes a parcel that every shard has on disk; `None` while the log has no room for that record.
    pub(crate) fn release_parcel(&mut self, id: ParcelId) -> Result<Option<Ticket>, StoreFailed> {
        self.alive()?;
        if !self.ledger.log.has_room(Purpose::Settle, SETTLE_BYTES) {
            return Ok(None);
        }
        let Some(StoredParcel { bytes, .. }) = self.outgoing.parcels.remove(&id) else {
            return Ok(Some(Ticket::committed()));
        };
        self.outgoing.bytes -= bytes;
        self.write(&Record::ParcelDelivered { parcel: id }, Purpose::Settle)?;
        Ok(Some(self.ledger.appended(Sync::Now)))
    }

    /// Whether the record of a parcel that is not delivered lies at a position.
    pub(in crate::shard) fn is_parcel_at(&self, id: ParcelId, position: Position) -> bool {
        self.facts.parcels.get(&id).is_some_and(|open| open.message.stored.position == position)
    }

    /// A ticket for the delivery of the parcel with this record, if it still exists. Searches all parcels.
    pub(in crate::shard) fn delivery_ticket(&self, position: Position) -> Option<Ticket> {
        let mut parcels = self.facts.parcels.iter();
        let (id, _) = parcels.find(|(_, open)| open.message.stored.position == position)?;
        self.outgoing.ticket(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(shard: u32, epoch: u64, count: u64, bytes: u64) -> LeftParcel {
        let id = ParcelId { shard, number: ParcelNumber { epoch, count } };
        LeftParcel { id, bytes, to: Vec::new(), in_relay: InRelay::default() }
    }

    fn number(epoch: u64, count: u64) -> ParcelNumber {
        ParcelNumber { epoch, count }
    }

    fn store(outgoing: &mut OutgoingParcels, bytes: u64) -> ParcelId {
        let id = outgoing.next();
        outgoing.next.count += 1;
        let _ = outgoing.add(id, bytes, Vec::new(), Ticket::committed(), InRelay::default());
        id
    }

    #[test]
    fn the_floor_of_a_shard_is_its_lowest_parcel_whose_removal_is_not_committed() {
        let mut outgoing =
            OutgoingParcels::new(Placement::ALONE, 7, vec![left(2, 3, 9, 0), left(2, 4, 1, 0)]);
        assert_eq!((outgoing.floor_of(0), outgoing.floor_of(1)), (number(7, 0), number(7, 0)));
        let [one, two] = [store(&mut outgoing, 0), store(&mut outgoing, 0)];
        assert_eq!((outgoing.floor_of(0), outgoing.floor_of(2)), (one.number, number(3, 9)));
        outgoing.removed(two);
        assert_eq!(outgoing.floor_of(0), one.number);
        outgoing.removed(one);
        assert_eq!(outgoing.floor_of(0), number(7, 2));
        outgoing.removed(left(2, 3, 9, 0).id);
        assert_eq!(outgoing.floor_of(2), number(4, 1));
    }

    #[test]
    fn the_outbox_has_no_room_when_too_many_parcels_lie_above_the_floor() {
        let mut outgoing = OutgoingParcels::new(Placement::ALONE, 7, Vec::new());
        let first = store(&mut outgoing, 0);
        for _ in 1..PARCELS_MAX {
            assert!(outgoing.has_room(0));
            let id = store(&mut outgoing, 0);
            outgoing.removed(id);
        }
        assert!(!outgoing.has_room(0), "a receiver remembers them all");
        outgoing.removed(first);
        assert!(outgoing.has_room(0));
    }

    #[test]
    fn a_parcel_of_an_earlier_start_counts_with_all_of_this_one() {
        let mut outgoing = OutgoingParcels::new(Placement::ALONE, 7, vec![left(0, 6, 5, 0)]);
        for _ in 1..PARCELS_MAX {
            assert!(outgoing.has_room(0));
            let id = store(&mut outgoing, 0);
            outgoing.removed(id);
        }
        assert!(!outgoing.has_room(0));
        outgoing.removed(left(0, 6, 5, 0).id);
        assert!(outgoing.has_room(0));
    }

    #[test]
    fn the_outbox_has_no_room_beyond_its_bytes() {
        let mut outgoing = OutgoingParcels::new(Placement::ALONE, 7, vec![left(0, 6, 5, BYTES_MAX - 10)]);
        assert!(outgoing.has_room(10) && !outgoing.has_room(11));
        store(&mut outgoing, 10);
        assert!(!outgoing.has_room(1));
    }
}
