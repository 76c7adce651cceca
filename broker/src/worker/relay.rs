//! Sending of parcels: a queue for each receiving shard, so that one that takes nothing stops no other.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    log::{ChannelId, Log, LogError, ParcelId, Read},
    shard::{
        Shard, StoreFailed, Ticket,
        relay::{outgoing::Parcel, receive::Receipt},
    },
    worker::Router,
};

/// Pause before a parcel is sent again for which the other log had no room. Nothing reports when there is room; two
/// attempts a second cost nothing, and are soon enough while a disk is being emptied.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A parcel in the queue of one receiving shard.
struct Queued {
    id: ParcelId,
    /// A channel of the receiving shard.
    channel: ChannelId,
    /// Committed when the decision is.
    decided: Ticket,
    /// Gets the ticket of the receiving shard when it has stored the parcel.
    stored: oneshot::Sender<Result<Ticket, StoreFailed>>,
}

/// Sends parcels to other shards, as a task of their origin. Never ends.
///
/// A shard receives parcels one after the other, which keeps their order; they are removed concurrently with that.
pub async fn send_parcels<L: Log>(shards: Router<L>) {
    tell_floors(&shards);
    let wake = shards.own().with(|shard| shard.wakers().relay);
    // Unbounded: each entry belongs to a stored parcel, of which there is a maximum.
    let (queues, ends): (Vec<_>, Vec<_>) =
        (0..shards.shards()).map(|_| mpsc::unbounded_channel::<Queued>()).unzip();
    let (begin, mut begun) = mpsc::unbounded_channel();
    let take = async {
        loop {
            for parcel in shards.own().with(Shard::take_unsent) {
                let Parcel { id, to, decided, delivered, in_relay } = parcel;
                let mut receipts = Vec::with_capacity(to.len());
                for channel in to {
                    let (stored, receipt) = oneshot::channel();
                    receipts.push((channel, receipt));
                    let queued = Queued { id, channel, decided: decided.clone(), stored };
                    // The receiving ends are below.
                    let _ = queues[shards.shard_of(channel)].send(queued);
                }
                let _ = begin.send((id, receipts, delivered, in_relay));
            }
            wake.notified().await;
        }
    };
    let send = join_all(ends.into_iter().map(|queue| send_in_order(&shards, queue)));
    let finish = async {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((id, receipts, delivered, in_relay)) = begun.recv() => {
                    let shards = &shards;
                    under_way.push(async move {
                        let stored = all_stored(receipts).await;
                        drop(in_relay);
                        delivered.finish(stored.is_ok());
                        remove_when_safe(shards, id, stored?).await
                    });
                }
                // After a failure the next start continues with it.
                Some(Ok(()) | Err(StoreFailed)) = under_way.next() => {}
            }
        }
    };
    tokio::join!(take, send, finish);
}

/// Tells the floors of this start to all other shards: some may remember parcels that were delivered long ago.
fn tell_floors<L: Log>(shards: &Router<L>) {
    let floors = shards.own().with(|shard| shard.floors());
    shards.tell_others(move |other| {
        floors.iter().for_each(|(shard, floor)| other.floor_told(*shard, *floor));
    });
}

/// Sends the parcels of one receiving shard, in their order.
async fn send_in_order<L: Log>(shards: &Router<L>, mut queue: mpsc::UnboundedReceiver<Queued>) {
    while let Some(Queued { id, channel, decided, stored }) = queue.recv().await {
        let outcome = send_parcel(shards, id, channel, decided).await;
        // Nobody waits for it while the broker ends.
        let _ = stored.send(outcome);
    }
}

/// Stores a parcel in the shard of a channel, when it is decided.
async fn send_parcel<L: Log>(
    shards: &Router<L>,
    id: ParcelId,
    channel: ChannelId,
    decided: Ticket,
) -> Result<Ticket, StoreFailed> {
    decided.wait().await?;
    let bytes = match shards.own().with(|shard| shard.read_parcel(id))? {
        Some(Read::Here(bytes)) => bytes,
        Some(Read::Coming(coming)) => {
            let came = coming.await.unwrap_or(Err(LogError::Poisoned));
            shards.own().with(|shard| came.map_err(|error| shard.parcel_unreadable(id, error)))?
        }
        None => return Ok(Ticket::committed()),
    };
    store_at(shards, channel, id, &bytes).await
}

/// Stores a parcel in the shard of a channel, as soon as its log has room.
async fn store_at<L: Log>(
    shards: &Router<L>,
    channel: ChannelId,
    id: ParcelId,
    bytes: &Bytes,
) -> Result<Ticket, StoreFailed> {
    loop {
        let floor = shards.own().with(|shard| shard.floor_of(id.shard));
        let receipt = shards.ask(channel, bytes, move |shard, bytes| shard.receive_parcel(id, floor, bytes));
        match receipt.await.map_err(|_| StoreFailed)?? {
            Receipt::Stored(ticket) => return Ok(ticket),
            Receipt::NoRoom => tokio::time::sleep(TRY_AGAIN_AFTER).await,
        }
    }
}

/// The tickets of the receiving shards, by one of their channels.
type Receipts = Vec<(ChannelId, Ticket)>;

/// Waits until every receiving shard has stored a parcel.
async fn all_stored(
    receipts: Vec<(ChannelId, oneshot::Receiver<Result<Ticket, StoreFailed>>)>,
) -> Result<Receipts, StoreFailed> {
    let mut tickets = Vec::with_capacity(receipts.len());
    for (channel, receipt) in receipts {
        tickets.push((channel, receipt.await.unwrap_or(Err(StoreFailed))?));
    }
    Ok(tickets)
}

/// Removes a parcel when every shard has it on disk. When that is on disk, the floor may rise.
async fn remove_when_safe<L: Log>(
    shards: &Router<L>,
    id: ParcelId,
    receipts: Receipts,
) -> Result<(), StoreFailed> {
    for (channel, ticket) in &receipts {
        shards.wait_until_committed(*channel, ticket.clone()).await?;
    }
    let removed = loop {
        match shards.own().with(|shard| shard.release_parcel(id))? {
            Some(removed) => break removed,
            None => tokio::time::sleep(TRY_AGAIN_AFTER).await,
        }
    };
    removed.wait().await?;
    let floor = shards.own().with(|shard| shard.parcel_removed(id));
    for (channel, _) in receipts {
        shards.tell(channel, move |shard| shard.floor_told(id.shard, floor));
    }
    Ok(())
}
