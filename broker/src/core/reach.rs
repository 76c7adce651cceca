//! The cores as a thread reaches them that has one of its own. What concerns a channel is done by its core: at once, without a
//! message and without an allocation, if that is this thread's; else one hop away. What a turn of a thread has for another
//! travels at once when the turn ends, and so do the answers: one wake for many.
//!
//! Architecture Invariant: no thread waits for another. A lock of another thread's core is never taken.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Wake, Waker},
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use super::{Core, CoreGone, CoreHandle, Cores, Here, ReadBack, Reading, SharedCore, StoreFailed, Ticket};
use crate::{
    channel::{Claim, Sequence},
    log::{Coming, DiskLog, Log, LogError, Position},
};

/// The cores, from the thread of one of them. Cheap to clone.
pub struct Reach<L = DiskLog>(Arc<Inner<L>>);

struct Inner<L> {
    here: Here,
    own: SharedCore<L>,
    cores: Cores<L>,
}

impl<L> Clone for Reach<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Log> Reach<L> {
    /// From the thread of this core.
    pub fn new(here: Here, own: SharedCore<L>, cores: Cores<L>) -> Self {
        Self(Arc::new(Inner { here, own, cores }))
    }

    /// The thread's own core.
    pub fn own(&self) -> &SharedCore<L> {
        &self.0.own
    }

    /// Which core has a channel.
    pub fn core_of(&self, channel: u32) -> usize {
        self.0.here.core_of(channel)
    }

    /// Does something with a channel's core. What it needs besides is lent to the thread's own core and given to another.
    ///
    /// What a dropped future had asked of another core is done all the same, and its answer dropped: an answer that is more
    /// than words undoes itself then.
    pub async fn ask<A, T>(
        &self,
        channel: u32,
        with: &A,
        act: impl FnOnce(&mut Core<L>, &A) -> T + Send + 'static,
    ) -> Result<T, CoreGone>
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
    {
        if self.0.here.has(channel) {
            return Ok(self.0.own.with(|core| act(core, with)));
        }
        let (with, back) = (with.clone(), self.back_from(channel));
        let (sender, receiver) = oneshot::channel();
        self.tell_other(channel, move |core| {
            let answer = act(core, &with);
            back.tell(move |_| drop(sender.send(answer)));
        });
        receiver.await.map_err(|_| CoreGone)
    }

    /// Does something with the cores of several channels, on each in the order given. Returns what came of each, in that order.
    pub async fn each<I, T>(
        &self,
        items: Vec<(u32, I)>,
        act: impl Fn(&mut Core<L>, u32, I) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, CoreGone>
    where
        I: Clone + Send + 'static,
        T: Send + 'static,
    {
        if items.iter().all(|(channel, _)| self.0.here.has(*channel)) {
            let each = |core: &mut Core<L>| {
                items.into_iter().map(|(channel, item)| act(core, channel, item)).collect()
            };
            return Ok(self.0.own.with(each));
        }
        let count = items.len();
        let mut parts: BTreeMap<usize, Vec<(usize, u32, I)>> = BTreeMap::new();
        for (index, (channel, item)) in items.into_iter().enumerate() {
            parts.entry(self.core_of(channel)).or_default().push((index, channel, item));
        }
        let asked = parts.into_values().map(async |part| {
            let act = act.clone();
            let done = self.ask(part[0].1, &part, move |core, part| {
                let each =
                    part.iter().map(|(index, channel, item)| (*index, act(core, *channel, item.clone())));
                each.collect::<Vec<_>>()
            });
            done.await
        });
        let mut answers: Vec<Option<T>> = (0..count).map(|_| None).collect();
        for (index, answer) in try_join_all(asked).await?.into_iter().flatten() {
            answers[index] = Some(answer);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Does something with a channel's core, now or soon.
    pub fn tell(&self, channel: u32, act: impl FnOnce(&mut Core<L>) + Send + 'static) {
        if self.0.here.has(channel) {
            return self.0.own.with(act);
        }
        self.tell_other(channel, act);
    }

    /// Waits until a promise of a channel's core is kept.
    pub async fn kept(&self, channel: u32, ticket: Ticket) -> Result<(), StoreFailed> {
        if self.0.here.has(channel) {
            return ticket.wait().await;
        }
        let wake = |waker: &Waker| Woken { back: self.back_from(channel), waker: waker.clone() };
        ticket.wait_by(|waker| Waker::from(Arc::new(wake(waker)))).await
    }

    /// Waits for a content of a channel's message. `handed`: the lease under which it is on its way to a receiver.
    pub async fn content(
        &self,
        channel: u32,
        sequence: Sequence,
        handed: Option<Claim>,
        reading: &mut Reading,
    ) -> Result<ReadBack, StoreFailed> {
        match reading {
            Reading::Here(recorded) => Ok(ReadBack::Whole(recorded.clone())),
            Reading::Coming(coming) => {
                let came = coming.await;
                let came =
                    self.ask(channel, &(), move |core, ()| core.came_of(channel, sequence, handed, came));
                came.await.unwrap_or(Err(StoreFailed))
            }
            Reading::Unreadable(unread) => Ok(ReadBack::Unreadable(unread.clone())),
        }
    }

    /// Waits for the record that tells of a key, for a push by a channel of its core.
    pub(super) async fn recalled(
        &self,
        channel: u32,
        position: Position,
        coming: &mut Coming,
    ) -> Result<(Position, Option<Bytes>), StoreFailed> {
        let came = coming.await.unwrap_or(Err(LogError::Poisoned));
        let came = self.ask(channel, &(), move |core, ()| core.came_of_key(position, came));
        Ok((position, came.await.unwrap_or(Err(StoreFailed))?))
    }

    /// One of the cores, from outside.
    pub(super) fn handle(&self, core: usize) -> &CoreHandle<L> {
        self.0.cores.core(core)
    }

    /// Does something with the core of a channel, which is another's.
    fn tell_other(&self, channel: u32, act: impl FnOnce(&mut Core<L>) + Send + 'static) {
        self.handle(self.0.here.core).tell_other(self.core_of(channel), act);
    }

    /// The way back from the thread that has a channel.
    fn back_from(&self, channel: u32) -> Back<L> {
        Back { there: self.core_of(channel), here: self.clone() }
    }
}

/// The way back from another thread to the one that asked.
struct Back<L> {
    there: usize,
    here: Reach<L>,
}

impl<L: Log> Back<L> {
    /// Does something here, from there.
    fn tell(&self, act: impl FnOnce(&mut Core<L>) + Send + 'static) {
        self.here.handle(self.there).tell_other(self.here.0.here.core, act);
    }
}

/// Wakes a task of another thread with all others that are to be woken there.
struct Woken<L> {
    back: Back<L>,
    waker: Waker,
}

impl<L: Log> Wake for Woken<L> {
    fn wake(self: Arc<Self>) {
        let waker = self.waker.clone();
        self.back.tell(move |_| waker.wake());
    }
}
