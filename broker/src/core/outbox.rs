//! Messages that channels of other cores are to have: a message to channels of several cores, and a dead letter whose new
//! channel is another core's.
//!
//! The core that takes such a message stores it for its own channels, and for itself: as a message of its outbox, with the
//! others as targets that are still to come. The sync of that is the decision: before it, another log could have on disk what
//! this one has lost. Then every other core is given the record, and stores the message for its channels by one of its own,
//! which says from which place of which outbox it came: so it is taken once ([`super::inbox`]), however often it is given. When
//! all of that is on disk, the message leaves the outbox. A start goes on with what it finds there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;

use super::{
    Core, Reach, StoreFailed, Ticket, group::Group, inbox::TakenIn, promise::SETTLE_BYTES,
    under_way::UnderWay,
};
use crate::{
    channel::Sequence,
    log::{Log, LogError, Position, Purpose, Read, Record, Sync},
};

/// When a message comes again for which the other core's log had no room. Nobody tells when it has some again; to ask twice a
/// second costs nothing, and is soon enough for what waits for a disk to be emptied.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A message of an outbox: the outbox's number, and the place in it.
pub(super) type Outgoing = (u32, Sequence);

/// What a core has for others.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The core's own.
    number: u32,
    /// Places are drawn anew at each start, so that none is given twice whatever the log remembers.
    first: Sequence,
    given: Sequence,
    messages: BTreeMap<Outgoing, Held>,
    /// Those that nobody carries yet.
    waiting: Vec<Errand>,
}

/// A message that is in the outbox.
#[derive(Debug)]
struct Held {
    /// Where its record is.
    position: Position,
    /// Is told when every core has it.
    given: Arc<Group>,
}

/// A message that is to be given to other cores.
#[derive(Debug)]
pub(super) struct Errand {
    message: Outgoing,
    /// When it is decided.
    decided: Ticket,
    /// Is told when every core has it.
    given: Arc<Group>,
    /// The channels that are still to have it.
    under_way: UnderWay,
}

impl Outbox {
    /// Of a start with this number, with what earlier ones have left, in the order in which it goes on.
    pub(super) fn new(
        number: u32,
        start: u64,
        left: impl Iterator<Item = (Outgoing, Position, UnderWay)>,
    ) -> Self {
        let mut waiting = Vec::new();
        let messages = left.map(|(message, position, under_way)| {
            let given = Arc::<Group>::default();
            waiting.push(Errand { message, decided: Ticket::committed(), given: given.clone(), under_way });
            (message, Held { position, given })
        });
        let messages = messages.collect();
        Self { number, first: start, given: 0, messages, waiting }
    }

    /// The next place.
    pub(super) fn next(&self) -> Outgoing {
        (self.number, self.first.wrapping_add(self.given))
    }

    /// How many messages other cores are still to have.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether every core has what it is to have.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether a place was given by this start.
    pub(super) fn has_given(&self, (number, sequence): Outgoing) -> bool {
        number == self.number && sequence.wrapping_sub(self.first) < self.given
    }

    /// Whether a message is there, or is there by this very record.
    pub(super) fn is_at(&self, message: Outgoing, position: Option<Position>) -> bool {
        let held = self.messages.get(&message);
        held.is_some_and(|held| position.is_none_or(|position| held.position == position))
    }

    /// A message's record was copied to another place of the log.
    pub(super) fn relocate(&mut self, message: Outgoing, to: Position) {
        if let Some(held) = self.messages.get_mut(&message) {
            held.position = to;
        }
    }

    /// The promise that every core has the message of this record, if it is still here. Looks at all of them.
    pub(super) fn promise_of(&self, position: Position) -> Option<Ticket> {
        let held = self.messages.values().find(|held| held.position == position)?;
        Some(Ticket::of(&held.given, Sync::Later))
    }
}

impl<L: Log> Core<L> {
    /// A message was stored at the outbox's next place. The promise that every core has it.
    pub(super) fn put_out(&mut self, position: Position, decided: Ticket, under_way: UnderWay) -> Ticket {
        let (message, given) = (self.outbox.next(), Arc::<Group>::default());
        self.outbox.given += 1;
        self.outbox.messages.insert(message, Held { position, given: given.clone() });
        let ticket = Ticket::of(&given, Sync::Later);
        self.outbox.waiting.push(Errand { message, decided, given, under_way });
        self.wakers.outbox.notify_one();
        ticket
    }

    /// What nobody carries yet.
    pub(super) fn take_errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.outbox.waiting)
    }

    /// The record of a message that is to go.
    pub(super) fn outgoing(&mut self, message: Outgoing) -> Result<Option<Read>, StoreFailed> {
        self.alive()?;
        let position = self.outbox.messages.get(&message).map(|held| held.position);
        let read = position.map(|position| self.log.read(position)).transpose();
        read.map_err(|error| self.outgoing_unread(message, error))
    }

    /// Every core has a message, on disk. Nothing is said of it while the log has no room for that.
    pub(super) fn went_out(&mut self, message: Outgoing) -> Result<Option<Ticket>, StoreFailed> {
        self.alive()?;
        if !self.log.has_room(Purpose::Settle, SETTLE_BYTES) {
            return Ok(None);
        }
        let Some(Held { position, .. }) = self.outbox.messages.remove(&message) else {
            return Ok(Some(Ticket::committed()));
        };
        let (channel, sequence) = message;
        self.append(&Record::Settle { channel, sequence }, Purpose::Settle)?;
        self.release_position(position);
        Ok(Some(self.appended(Sync::Now)))
    }
}

/// Carries messages to other cores, as a task of the core that has them. Never ends.
///
/// One after the other, so that they come in their order; what follows when every core has one goes on beside that.
pub async fn carry<L: Log>(cores: Reach<L>) {
    let wake = cores.own().with(|core| core.wakers().outbox);
    // Unbounded, because each is of a message that is in the outbox.
    let (given, mut leave) = mpsc::unbounded_channel();
    let give = async {
        loop {
            for errand in cores.own().with(Core::take_errands) {
                // The other end is below.
                let _ = given.send((errand.message, run(&cores, errand).await));
            }
            wake.notified().await;
        }
    };
    let leave = async {
        let mut leaving = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((message, taken)) = leave.recv() => leaving.push(leave_when_safe(&cores, message, taken)),
                // After a failure the next start goes on with it.
                Some(Ok(()) | Err(StoreFailed)) = leaving.next() => {}
            }
        }
    };
    tokio::join!(give, leave);
}

/// What each core has promised, by one of its channels.
type Taken = Vec<(u32, Ticket)>;

/// Gives a message to every core, and tells who waits for that.
async fn run<L: Log>(cores: &Reach<L>, errand: Errand) -> Result<Taken, StoreFailed> {
    let Errand { message, decided, given, under_way } = errand;
    let taken = deliver(cores, message, decided).await;
    drop(under_way);
    given.finish(taken.is_ok());
    taken
}

async fn deliver<L: Log>(cores: &Reach<L>, message: Outgoing, decided: Ticket) -> Result<Taken, StoreFailed> {
    decided.wait().await?;
    let bytes = match cores.own().with(|core| core.outgoing(message))? {
        Some(Read::Here(bytes)) => bytes,
        Some(Read::Coming(coming)) => {
            let came = coming.await.unwrap_or(Err(LogError::Poisoned));
            cores.own().with(|core| came.map_err(|error| core.outgoing_unread(message, error)))?
        }
        None => return Ok(Vec::new()),
    };
    let mut taken = Vec::new();
    for channel in one_of_each_core(cores, &bytes) {
        taken.push((channel, give(cores, channel, message, &bytes).await?));
    }
    Ok(taken)
}

/// A message leaves the outbox when every core has it on disk, and when that is on disk, they need not know it any more.
async fn leave_when_safe<L: Log>(
    cores: &Reach<L>,
    message: Outgoing,
    taken: Result<Taken, StoreFailed>,
) -> Result<(), StoreFailed> {
    let taken = taken?;
    for (channel, ticket) in &taken {
        cores.kept(*channel, ticket.clone()).await?;
    }
    let gone = loop {
        match cores.own().with(|core| core.went_out(message))? {
            Some(gone) => break gone,
            None => tokio::time::sleep(TRY_AGAIN_AFTER).await,
        }
    };
    gone.wait().await?;
    for (channel, _) in taken {
        cores.tell(channel, move |core| core.is_over(message));
    }
    Ok(())
}

/// Of the channels that are still to have a message, one of each core.
fn one_of_each_core<L: Log>(cores: &Reach<L>, bytes: &Bytes) -> Vec<u32> {
    let Ok(Record::Message { targets, .. }) = Record::decode(bytes) else { return Vec::new() };
    let to_come = targets.iter().filter(|target| target.is_to_come()).map(|target| target.channel);
    let of_each: BTreeMap<usize, u32> = to_come.map(|channel| (cores.core_of(channel), channel)).collect();
    of_each.into_values().collect()
}

/// Gives a message to the core of a channel, which takes it as soon as its log has room.
async fn give<L: Log>(
    cores: &Reach<L>,
    channel: u32,
    message: Outgoing,
    bytes: &Bytes,
) -> Result<Ticket, StoreFailed> {
    loop {
        let taken = cores.ask(channel, bytes, move |core, bytes| core.take_in(message, bytes));
        match taken.await.map_err(|_| StoreFailed)?? {
            TakenIn::Stored(ticket) => return Ok(ticket),
            TakenIn::NoRoom => tokio::time::sleep(TRY_AGAIN_AFTER).await,
        }
    }
}
