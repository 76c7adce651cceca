//! Sending of parcels: a queue for each receiving shard, so that one that takes nothing stops no other.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::sync::{mpsc, oneshot};

use super::{outbox::Parcel, receive::Receipt};
use crate::{
    core::{CORES_MAX, Core, Router, StoreFailed, Ticket},
    log::{ChannelId, Log, LogError, ParcelId, Read},
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
pub async fn send_parcels<L: Log>(cores: Router<L>) {
    tell_floors(&cores);
    let wake = cores.own().with(|core| core.wakers().relay);
    // Unbounded: each entry belongs to a stored parcel, of which there is a maximum.
    let (queues, ends): (Vec<_>, Vec<_>) =
        (0..cores.shards()).map(|_| mpsc::unbounded_channel::<Queued>()).unzip();
    let (begin, mut begun) = mpsc::unbounded_channel();
    let take = async {
        loop {
            for parcel in cores.own().with(Core::take_unsent) {
                let Parcel { id, to, decided, delivered, in_relay } = parcel;
                let mut receipts = Vec::with_capacity(to.len());
                for channel in to {
                    let (stored, receipt) = oneshot::channel();
                    receipts.push((channel, receipt));
                    let queued = Queued { id, channel, decided: decided.clone(), stored };
                    // The receiving ends are below.
                    let _ = queues[cores.core_of(channel)].send(queued);
                }
                let _ = begin.send((id, receipts, delivered, in_relay));
            }
            wake.notified().await;
        }
    };
    let send = join_all(ends.into_iter().map(|queue| send_in_order(&cores, queue)));
    let finish = async {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((id, receipts, delivered, in_relay)) = begun.recv() => {
                    let cores = &cores;
                    under_way.push(async move {
                        let stored = all_stored(receipts).await;
                        drop(in_relay);
                        delivered.finish(stored.is_ok());
                        remove_when_safe(cores, id, stored?).await
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
fn tell_floors<L: Log>(cores: &Router<L>) {
    let floors = cores.own().with(|core| {
        let shards = (core.here.core as u32..CORES_MAX as u32).step_by(core.here.cores);
        shards.map(|shard| (shard, core.outbox.floor_of(shard))).collect::<Vec<_>>()
    });
    cores.tell_others(move |core| {
        floors.iter().for_each(|(shard, floor)| core.floor_told(*shard, *floor));
    });
}

/// Sends the parcels of one receiving shard, in their order.
async fn send_in_order<L: Log>(cores: &Router<L>, mut queue: mpsc::UnboundedReceiver<Queued>) {
    while let Some(Queued { id, channel, decided, stored }) = queue.recv().await {
        let outcome = send_parcel(cores, id, channel, decided).await;
        // Nobody waits for it while the broker ends.
        let _ = stored.send(outcome);
    }
}

/// Stores a parcel in the shard of a channel, when it is decided.
async fn send_parcel<L: Log>(
    cores: &Router<L>,
    id: ParcelId,
    channel: ChannelId,
    decided: Ticket,
) -> Result<Ticket, StoreFailed> {
    decided.wait().await?;
    let bytes = match cores.own().with(|core| core.read_parcel(id))? {
        Some(Read::Here(bytes)) => bytes,
        Some(Read::Coming(coming)) => {
            let came = coming.await.unwrap_or(Err(LogError::Poisoned));
            cores.own().with(|core| came.map_err(|error| core.parcel_unreadable(id, error)))?
        }
        None => return Ok(Ticket::committed()),
    };
    store_at(cores, channel, id, &bytes).await
}

/// Stores a parcel in the shard of a channel, as soon as its log has room.
async fn store_at<L: Log>(
    cores: &Router<L>,
    channel: ChannelId,
    id: ParcelId,
    bytes: &Bytes,
) -> Result<Ticket, StoreFailed> {
    loop {
        let floor = cores.own().with(|core| core.outbox.floor_of(id.shard));
        let receipt = cores.ask(channel, bytes, move |core, bytes| core.receive_parcel(id, floor, bytes));
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
    cores: &Router<L>,
    id: ParcelId,
    receipts: Receipts,
) -> Result<(), StoreFailed> {
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
    let floor = cores.own().with(|core| {
        core.outbox.removed(id);
        core.outbox.floor_of(id.shard)
    });
    for (channel, _) in receipts {
        cores.tell(channel, move |core| core.floor_told(id.shard, floor));
    }
    Ok(())
}
