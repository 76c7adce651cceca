//! The router: runs closures with the shard that owns a channel, from a thread that has a shard of its own. If that
//! owns the channel, the closure runs at once, without a message or an allocation; otherwise it takes one hop. Jobs of
//! one turn for another thread travel together when the turn ends, and so do their answers, so that one wake serves
//! many.
//!
//! Architecture Invariant: no thread waits for another. The lock of another thread's shard is never taken.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Wake, Waker},
};

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::oneshot;

use crate::{
    channel::{Claim, Sequence},
    log::{ChannelId, Coming, DiskLog, Log, LogError, Position},
    shard::{Placement, ReadBack, Reading, Shard, ShardGone, StoreFailed, Ticket},
    worker::{Mailbox, Shards, SharedShard},
};

/// All shards, from the thread of one of them. Cheap to clone.
pub struct Router<L = DiskLog>(Arc<Inner<L>>);

struct Inner<L> {
    here: Placement,
    own: SharedShard<L>,
    shards: Shards<L>,
}

impl<L> Clone for Router<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<L: Log> Router<L> {
    /// A router for the thread of `own`.
    pub fn new(here: Placement, own: SharedShard<L>, shards: Shards<L>) -> Self {
        Self(Arc::new(Inner { here, own, shards }))
    }

    /// The thread's own shard.
    pub fn own(&self) -> &SharedShard<L> {
        &self.0.own
    }

    /// The shard of a channel.
    pub fn shard_of(&self, channel: ChannelId) -> usize {
        self.0.here.shard_of(channel)
    }

    /// The number of shards.
    pub(super) fn shards(&self) -> usize {
        self.0.here.shards
    }

    /// Runs a closure with a channel's shard. Its argument is borrowed by the thread's own shard, and cloned for
    /// another.
    ///
    /// If this future is dropped, another shard runs the closure all the same and the answer is dropped; an answer that
    /// holds something, such as a lease, undoes itself on drop.
    pub async fn ask<A, T>(
        &self,
        channel: ChannelId,
        with: &A,
        act: impl FnOnce(&mut Shard<L>, &A) -> T + Send + 'static,
    ) -> Result<T, ShardGone>
    where
        A: Clone + Send + 'static,
        T: Send + 'static,
    {
        if self.0.here.owns(channel) {
            return Ok(self.0.own.with(|shard| act(shard, with)));
        }
        let (with, back) = (with.clone(), self.back_from(channel));
        let (sender, receiver) = oneshot::channel();
        self.tell_other(channel, move |shard| {
            let answer = act(shard, &with);
            back.tell(move |_| drop(sender.send(answer)));
        });
        receiver.await.map_err(|_| ShardGone)
    }

    /// Runs a closure with the shards of several channels, on each shard in the given order. Returns the results in
    /// that order.
    pub async fn each<I, T>(
        &self,
        items: Vec<(ChannelId, I)>,
        act: impl Fn(&mut Shard<L>, ChannelId, I) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, ShardGone>
    where
        I: Clone + Send + 'static,
        T: Send + 'static,
    {
        if items.iter().all(|(channel, _)| self.0.here.owns(*channel)) {
            let each = |shard: &mut Shard<L>| {
                items.into_iter().map(|(channel, item)| act(shard, channel, item)).collect()
            };
            return Ok(self.0.own.with(each));
        }
        let count = items.len();
        let mut parts: BTreeMap<usize, Vec<(usize, ChannelId, I)>> = BTreeMap::new();
        for (index, (channel, item)) in items.into_iter().enumerate() {
            parts.entry(self.shard_of(channel)).or_default().push((index, channel, item));
        }
        let calls = parts.into_values().map(async |part| {
            let act = act.clone();
            let done = self.ask(part[0].1, &part, move |shard, part| {
                let each =
                    part.iter().map(|(index, channel, item)| (*index, act(shard, *channel, item.clone())));
                each.collect::<Vec<_>>()
            });
            done.await
        });
        let mut answers: Vec<Option<T>> = (0..count).map(|_| None).collect();
        for (index, answer) in try_join_all(calls).await?.into_iter().flatten() {
            answers[index] = Some(answer);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Runs a closure with a channel's shard, without waiting for it.
    pub fn tell(&self, channel: ChannelId, act: impl FnOnce(&mut Shard<L>) + Send + 'static) {
        if self.0.here.owns(channel) {
            return self.0.own.with(act);
        }
        self.tell_other(channel, act);
    }

    /// Runs a closure with every other shard, without waiting for it.
    pub(super) fn tell_others(&self, act: impl FnOnce(&mut Shard<L>) + Clone + Send + 'static) {
        let here = self.0.here.shard;
        for shard in (0..self.shards()).filter(|shard| *shard != here) {
            self.handle(here).tell_other(shard, act.clone());
        }
    }

    /// Waits for a ticket of a channel's shard.
    pub async fn wait_until_committed(&self, channel: ChannelId, ticket: Ticket) -> Result<(), StoreFailed> {
        if self.0.here.owns(channel) {
            return ticket.wait().await;
        }
        let wake = |waker: &Waker| RemoteWaker { back: self.back_from(channel), waker: waker.clone() };
        ticket.wait_by(|waker| Waker::from(Arc::new(wake(waker)))).await
    }

    /// Waits for the body of a message. `handed` is the lease under which it is being delivered.
    pub async fn content(
        &self,
        channel: ChannelId,
        sequence: Sequence,
        handed: Option<Claim>,
        reading: &mut Reading,
    ) -> Result<ReadBack, StoreFailed> {
        match reading {
            Reading::Here(recorded) => Ok(ReadBack::Whole(recorded.clone())),
            Reading::Coming(coming) => {
                let came = coming.await;
                let came = self
                    .ask(channel, &(), move |shard, ()| shard.finish_read(channel, sequence, handed, came));
                came.await.unwrap_or(Err(StoreFailed))
            }
            Reading::Unreadable(unread) => Ok(ReadBack::Unreadable(unread.clone())),
        }
    }

    /// Waits for the record of a key, for a push to a channel.
    pub(super) async fn read_key_record(
        &self,
        channel: ChannelId,
        position: Position,
        coming: &mut Coming,
    ) -> Result<(Position, Option<Bytes>), StoreFailed> {
        let came = coming.await.unwrap_or(Err(LogError::Poisoned));
        let came = self.ask(channel, &(), move |shard, ()| shard.finish_key_read(position, came));
        Ok((position, came.await.unwrap_or(Err(StoreFailed))?))
    }

    /// The mailbox of a shard.
    pub(super) fn handle(&self, shard: usize) -> &Mailbox<L> {
        self.0.shards.shard(shard)
    }

    /// Runs a closure with the shard of a channel that another thread owns.
    fn tell_other(&self, channel: ChannelId, act: impl FnOnce(&mut Shard<L>) + Send + 'static) {
        self.handle(self.0.here.shard).tell_other(self.shard_of(channel), act);
    }

    /// The way back from the thread that owns a channel.
    fn back_from(&self, channel: ChannelId) -> ReturnPath<L> {
        ReturnPath { there: self.shard_of(channel), here: self.clone() }
    }
}

/// The way back from another thread to the one that asked.
struct ReturnPath<L> {
    there: usize,
    here: Router<L>,
}

impl<L: Log> ReturnPath<L> {
    /// Runs a closure here, sent from there.
    fn tell(&self, act: impl FnOnce(&mut Shard<L>) + Send + 'static) {
        self.here.handle(self.there).tell_other(self.here.0.here.shard, act);
    }
}

/// Wakes a task of another thread, together with others of that thread.
struct RemoteWaker<L> {
    back: ReturnPath<L>,
    waker: Waker,
}

impl<L: Log> Wake for RemoteWaker<L> {
    fn wake(self: Arc<Self>) {
        let waker = self.waker.clone();
        self.back.tell(move |_| waker.wake());
    }
}
