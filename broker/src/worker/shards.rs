//! All shards of a broker, for threads that own none: the admin and control ports.

use std::{collections::BTreeMap, sync::Arc};

use restante_wire::ChannelStats;

use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, State},
    clock::Clock,
    log::{ChannelId, DiskLog, Log},
    shard::{CounterRegistry, Placement, Samples, ShardGone, WorkFailed},
    worker::Mailbox,
};

pub struct Shards<L = DiskLog> {
    handles: Arc<[Mailbox<L>]>,
    counters: Arc<CounterRegistry>,
    clock: Clock,
}

impl<L> Clone for Shards<L> {
    fn clone(&self) -> Self {
        Self { handles: self.handles.clone(), counters: self.counters.clone(), clock: self.clock.clone() }
    }
}

impl<L: Log> Shards<L> {
    /// All shards in order, with their common counters and clock.
    pub fn new(handles: Vec<Mailbox<L>>, counters: Arc<CounterRegistry>, clock: Clock) -> Self {
        Self { handles: handles.into(), counters, clock }
    }

    /// The mailbox of a channel's shard.
    pub(super) fn of(&self, channel: ChannelId) -> &Mailbox<L> {
        &self.handles[self.here().shard_of(channel)]
    }

    pub(super) fn all(&self) -> &[Mailbox<L>] {
        &self.handles
    }

    pub(super) fn shard(&self, shard: usize) -> &Mailbox<L> {
        &self.handles[shard]
    }

    fn here(&self) -> Placement {
        Placement { shard: 0, shards: self.handles.len() }
    }

    /// Distributes items over the shards of their channels.
    fn spread<T>(
        &self,
        all: Vec<T>,
        channel: impl Fn(&T) -> ChannelId,
    ) -> impl Iterator<Item = (&Mailbox<L>, Vec<T>)> {
        let mut spread: BTreeMap<usize, Vec<T>> = BTreeMap::new();
        for one in all {
            spread.entry(self.here().shard_of(channel(&one))).or_default().push(one);
        }
        spread.into_iter().map(|(shard, part)| (&self.handles[shard], part))
    }

    pub fn counters(&self, channel_id: ChannelId) -> Arc<ChannelCounters> {
        self.counters.get(channel_id)
    }

    /// Numbers of all logs and tables, summed.
    pub fn samples(&self) -> Samples {
        let sum = Samples::default();
        self.handles.iter().for_each(|shard| sum.add(shard.samples()));
        sum
    }

    pub fn waiting_senders(&self) -> u64 {
        self.counters.waiting_senders()
    }

    pub fn waiting_receivers(&self) -> u64 {
        self.counters.waiting_receivers()
    }

    /// The common clock of all shards.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Current numbers of channels, read from their counters without disturbing a shard.
    pub async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, ShardGone> {
        let now = self.clock.now();
        Ok(channels.iter().map(|entry| self.counters.get(entry.id).stats(&entry.config, now)).collect())
    }

    /// Deletes a channel permanently, if it is empty or with `force`; on disk on return. Returns the number of messages
    /// that went, or that prevent the deletion.
    pub async fn close(&self, entry: Arc<ChannelEntry>, force: bool) -> Result<Result<u64, u64>, WorkFailed> {
        let closed = self.of(entry.id).run(move |shard| shard.close(&entry, force));
        Ok(match closed.await?? {
            Ok((messages, ticket)) => {
                ticket.wait().await?;
                Ok(messages)
            }
            Err(messages) => Err(messages),
        })
    }

    /// The address store has removed a deleted channel.
    pub async fn removed(&self, channel_id: ChannelId) {
        // A shard whose thread has ended holds nothing any more.
        let _ = self.of(channel_id).run(move |shard| shard.removed(channel_id)).await;
    }

    /// Applies configurations that may have changed.
    pub async fn changed(&self, entries: Vec<Arc<ChannelEntry>>) {
        for (shard, entries) in self.spread(entries, |entry| entry.id) {
            let _ = shard.run(move |shard| shard.changed(&entries)).await;
        }
    }

    /// Drops all messages of some states, a few at a time; on disk on return. Returns their number.
    pub async fn purge(&self, entry: Arc<ChannelEntry>, states: Vec<State>) -> Result<u64, WorkFailed> {
        let shard = self.of(entry.id);
        let mut purged = 0;
        for state in states {
            loop {
                let entry = entry.clone();
                let (gone, ticket) = shard.run(move |shard| shard.purge(&entry, state)).await??;
                purged += gone;
                if gone == 0 {
                    ticket.wait().await?;
                    break;
                }
            }
        }
        Ok(purged)
    }

    /// Dismisses all who wait on these channels: their addresses answer 404 from now on.
    pub async fn withdrawn(&self, channel_ids: Vec<ChannelId>) {
        for (shard, channel_ids) in self.spread(channel_ids, |channel_id| *channel_id) {
            let _ = shard
                .run(move |shard| channel_ids.into_iter().for_each(|channel_id| shard.withdraw(channel_id)))
                .await;
        }
    }
}
