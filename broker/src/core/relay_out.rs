//! The sending side of the relay: messages for channels of other shards. These are messages to channels of several
//! shards, and dead letters whose dead-letter channel belongs to another shard.
//!
//! The first shard stores such a message for its own channels, and as a parcel with the other channels as targets to
//! come. The sync of that record is the decision: before it, another log could have on disk what this one
//! has lost. Then every other shard gets the record, and stores the message for its channels by a record of its own.
//! That record names the parcel, so that it is stored once ([`super::relay_in`]), however many times it is sent. When
//! all of these records are on disk, the parcel is removed. A start continues with the parcels that it finds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use super::{
    Core, Router, StoreFailed, Ticket, commit_batch::CommitBatch, in_relay::InRelay, relay_in::Receipt,
    reserve::SETTLE_BYTES,
};
use crate::log::{ChannelId, Log, LogError, ParcelId, Position, Purpose, Read, Record, Sync};

/// Pause before a parcel is sent again for which the other log had no room. Nothing reports when there is room; two
/// attempts a second cost nothing, and are soon enough while a disk is being emptied.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The parcels of a shard for others.
#[derive(Debug)]
pub(super) struct RelayOut {
    /// This shard's index.
    shard: u32,
    /// Places begin at a random number at each start, so that none is assigned twice, whatever the log remembers.
    first: u64,
    assigned: u64,
    parcels: BTreeMap<ParcelId, StoredParcel>,
    /// Parcels that no task sends yet.
    waiting: Vec<Parcel>,
}

/// A parcel in the log.
#[derive(Debug)]
struct StoredParcel {
    /// The position of its record.
    position: Position,
    /// Finished when every shard has it.
    delivered: Arc<CommitBatch>,
}

/// A parcel to be sent.
#[derive(Debug)]
pub(super) struct Parcel {
    id: ParcelId,
    /// Committed when the decision is.
    decided: Ticket,
    /// Finished when every shard has it.
    delivered: Arc<CommitBatch>,
    /// Counts it in relay to its channels.
    in_relay: InRelay,
}

impl RelayOut {
    /// The relay of a start, with the parcels that earlier starts have left, in the order in which they are sent.
    pub(super) fn new(
        shard: u32,
        start: u64,
        left: impl Iterator<Item = (ParcelId, Position, InRelay)>,
    ) -> Self {
        let mut waiting = Vec::new();
        let parcels = left.map(|(id, position, in_relay)| {
            let delivered = Arc::<CommitBatch>::default();
            waiting.push(Parcel { id, decided: Ticket::committed(), delivered: delivered.clone(), in_relay });
            (id, StoredParcel { position, delivered })
        });
        let parcels = parcels.collect();
        Self { shard, first: start, assigned: 0, parcels, waiting }
    }

    /// The next parcel's id.
    pub(super) fn next(&self) -> ParcelId {
        ParcelId { shard: self.shard, place: self.first.wrapping_add(self.assigned) }
    }

    pub(super) fn len(&self) -> usize {
        self.parcels.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Whether this start assigned an id.
    pub(super) fn has_assigned(&self, ParcelId { shard, place }: ParcelId) -> bool {
        shard == self.shard && place.wrapping_sub(self.first) < self.assigned
    }

    /// Whether a parcel exists, and at this position, if one is given.
    pub(super) fn is_at(&self, id: ParcelId, position: Option<Position>) -> bool {
        let stored = self.parcels.get(&id);
        stored.is_some_and(|stored| position.is_none_or(|position| stored.position == position))
    }

    /// A parcel's record was copied to another position.
    pub(super) fn relocate(&mut self, id: ParcelId, to: Position) {
        if let Some(held) = self.parcels.get_mut(&id) {
            held.position = to;
        }
    }

    /// A ticket for the delivery of the parcel with this record, if it still exists. Searches all parcels.
    pub(super) fn ticket_of(&self, position: Position) -> Option<Ticket> {
        let held = self.parcels.values().find(|held| held.position == position)?;
        Some(Ticket::of(&held.delivered, Sync::Later))
    }
}

impl<L: Log> Core<L> {
    /// Registers a message that was stored under the next id. Returns a ticket for its delivery.
    pub(super) fn relay(&mut self, position: Position, decided: Ticket, in_relay: InRelay) -> Ticket {
        let (id, delivered) = (self.relay_out.next(), Arc::<CommitBatch>::default());
        self.relay_out.assigned += 1;
        self.relay_out.parcels.insert(id, StoredParcel { position, delivered: delivered.clone() });
        let ticket = Ticket::of(&delivered, Sync::Later);
        self.relay_out.waiting.push(Parcel { id, decided, delivered, in_relay });
        self.wakers.relay.notify_one();
        ticket
    }

    /// Takes the parcels that no task sends yet.
    pub(super) fn take_unsent(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.relay_out.waiting)
    }

    /// Reads the record of a parcel.
    pub(super) fn read_parcel(&mut self, id: ParcelId) -> Result<Option<Read>, StoreFailed> {
        self.alive()?;
        let position = self.relay_out.parcels.get(&id).map(|held| held.position);
        let read = position.map(|position| self.log.read(position)).transpose();
        read.map_err(|error| self.parcel_unreadable(id, error))
    }

    /// Removes a parcel that every shard has on disk; `None` while the log has no room for that record.
    pub(super) fn release_parcel(&mut self, id: ParcelId) -> Result<Option<Ticket>, StoreFailed> {
        self.alive()?;
        if !self.log.has_room(Purpose::Settle, SETTLE_BYTES) {
            return Ok(None);
        }
        let Some(StoredParcel { position, .. }) = self.relay_out.parcels.remove(&id) else {
            return Ok(Some(Ticket::committed()));
        };
        self.append(&Record::ParcelDelivered { parcel: id }, Purpose::Settle)?;
        self.release_position(position);
        Ok(Some(self.appended(Sync::Now)))
    }
}

/// Sends parcels to other shards, as a task of their origin. Never ends.
///
/// Parcels are sent one after the other, to keep their order; they are removed concurrently with that.
pub async fn send_parcels<L: Log>(cores: Router<L>) {
    let wake = cores.own().with(|core| core.wakers().relay);
    // Unbounded: each entry belongs to a stored parcel.
    let (send_receipts, mut sent) = mpsc::unbounded_channel();
    let send = async {
        loop {
            for parcel in cores.own().with(Core::take_unsent) {
                // The receiving end is below.
                let _ = send_receipts.send((parcel.id, send_parcel(&cores, parcel).await));
            }
            wake.notified().await;
        }
    };
    let remove = async {
        let mut removing = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((id, receipts)) = sent.recv() => removing.push(remove_when_safe(&cores, id, receipts)),
                // After a failure the next start continues with it.
                Some(Ok(()) | Err(StoreFailed)) = removing.next() => {}
            }
        }
    };
    tokio::join!(send, remove);
}

/// The tickets of the receiving shards, by one of their channels.
type Receipts = Vec<(ChannelId, Ticket)>;

/// Sends a parcel to every shard, and reports the outcome to waiting answers.
async fn send_parcel<L: Log>(cores: &Router<L>, parcel: Parcel) -> Result<Receipts, StoreFailed> {
    let Parcel { id, decided, delivered, in_relay } = parcel;
    let receipts = store_everywhere(cores, id, decided).await;
    drop(in_relay);
    delivered.finish(receipts.is_ok());
    receipts
}

async fn store_everywhere<L: Log>(
    cores: &Router<L>,
    id: ParcelId,
    decided: Ticket,
) -> Result<Receipts, StoreFailed> {
    decided.wait().await?;
    let bytes = match cores.own().with(|core| core.read_parcel(id))? {
        Some(Read::Here(bytes)) => bytes,
        Some(Read::Coming(coming)) => {
            let came = coming.await.unwrap_or(Err(LogError::Poisoned));
            cores.own().with(|core| came.map_err(|error| core.parcel_unreadable(id, error)))?
        }
        None => return Ok(Vec::new()),
    };
    let mut receipts = Vec::new();
    for channel in one_per_shard(cores, &bytes) {
        receipts.push((channel, store_at(cores, channel, id, &bytes).await?));
    }
    Ok(receipts)
}

/// Removes a parcel when every shard has it on disk. When that is on disk, the shards can forget it.
async fn remove_when_safe<L: Log>(
    cores: &Router<L>,
    id: ParcelId,
    receipts: Result<Receipts, StoreFailed>,
) -> Result<(), StoreFailed> {
    let receipts = receipts?;
    for (channel, ticket) in &receipts {
        cores.wait_until_committed(*channel, ticket.clone()).await?;
    }
    let removed = loop {
        match cores.own().with(|core| core.release_parcel(id))? {
            Some(removed) => break removed,
            None => tokio::time::sleep(TRY_AGAIN_AFTER).await,
        }
    };
    removed.wait().await?;
    for (channel, _) in receipts {
        cores.tell(channel, move |core| core.forget_parcel(id));
    }
    Ok(())
}

/// Of the channels to come, one for each shard.
fn one_per_shard<L: Log>(cores: &Router<L>, bytes: &Bytes) -> Vec<ChannelId> {
    let Ok(Record::Message { targets, .. }) = Record::decode(bytes) else { return Vec::new() };
    let to_come = targets.iter().filter(|target| target.is_to_come()).map(|target| target.channel);
    let of_each: BTreeMap<usize, ChannelId> =
        to_come.map(|channel| (cores.core_of(channel), channel)).collect();
    of_each.into_values().collect()
}

/// Stores a parcel in the shard of a channel, as soon as its log has room.
async fn store_at<L: Log>(
    cores: &Router<L>,
    channel: ChannelId,
    id: ParcelId,
    bytes: &Bytes,
) -> Result<Ticket, StoreFailed> {
    loop {
        let receipt = cores.ask(channel, bytes, move |core, bytes| core.receive_parcel(id, bytes));
        match receipt.await.map_err(|_| StoreFailed)?? {
            Receipt::Stored(ticket) => return Ok(ticket),
            Receipt::NoRoom => tokio::time::sleep(TRY_AGAIN_AFTER).await,
        }
    }
}
