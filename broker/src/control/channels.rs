//! The interface of the channels for the control API, independent of where the channels run.

use std::{future::Future, sync::Arc};

use restante_wire::{ChannelStats, control::Redriven};

use crate::{
    address_store::ChannelEntry,
    channel::State,
    clock::Millis,
    log::{ChannelId, disk::LogSnapshot},
    shard::{ShardGone, WorkFailed},
    worker::{Redrive, Shards},
};

/// The operations of the control API on channels.
pub trait Channels: Clone + Send + Sync + 'static {
    /// The current counts of channels, in the given order.
    fn stats(
        &self,
        channels: Vec<Arc<ChannelEntry>>,
    ) -> impl Future<Output = Result<Vec<ChannelStats>, ShardGone>> + Send;

    /// Closes a channel and deletes its messages, if it has none or with `force`. The deletion is on disk when this
    /// returns. Returns the number of deleted messages, or as an error the number of messages that prevent the
    /// deletion.
    fn close(
        &self,
        entry: Arc<ChannelEntry>,
        force: bool,
    ) -> impl Future<Output = Result<Result<u64, u64>, WorkFailed>> + Send;

    /// Ends a channel's deletion, after the address store has removed it.
    fn removed(&self, channel_id: ChannelId) -> impl Future<Output = ()> + Send;

    /// Notifies channels that their configuration may have changed.
    fn changed(&self, entries: Vec<Arc<ChannelEntry>>) -> impl Future<Output = ()> + Send;

    /// Makes dead letters ready again.
    fn redrive(&self, redrive: Redrive) -> impl Future<Output = Result<Redriven, WorkFailed>> + Send;

    /// Deletes all messages of some states; returns their number.
    fn purge(
        &self,
        entry: Arc<ChannelEntry>,
        states: Vec<State>,
    ) -> impl Future<Output = Result<u64, WorkFailed>> + Send;

    /// A snapshot of the logs, with every acknowledged operation.
    fn cut(&self) -> impl Future<Output = Result<Vec<LogSnapshot>, WorkFailed>> + Send;

    /// The wall clock time.
    fn now(&self) -> Millis;

    /// Ends the waits on channels that are no longer in the set.
    fn withdrawn(&self, channel_ids: Vec<ChannelId>) -> impl Future<Output = ()> + Send;
}

impl Channels for Shards {
    async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, ShardGone> {
        Shards::stats(self, channels).await
    }

    async fn close(&self, entry: Arc<ChannelEntry>, force: bool) -> Result<Result<u64, u64>, WorkFailed> {
        Shards::close(self, entry, force).await
    }

    async fn removed(&self, channel_id: ChannelId) {
        Shards::removed(self, channel_id).await;
    }

    async fn changed(&self, entries: Vec<Arc<ChannelEntry>>) {
        Shards::changed(self, entries).await;
    }

    async fn redrive(&self, redrive: Redrive) -> Result<Redriven, WorkFailed> {
        Shards::redrive(self, redrive).await
    }

    async fn purge(&self, entry: Arc<ChannelEntry>, states: Vec<State>) -> Result<u64, WorkFailed> {
        Shards::purge(self, entry, states).await
    }

    async fn cut(&self) -> Result<Vec<LogSnapshot>, WorkFailed> {
        Shards::cut(self).await
    }

    fn now(&self) -> Millis {
        let clock = self.clock();
        clock.wall(clock.now())
    }

    async fn withdrawn(&self, channel_ids: Vec<ChannelId>) {
        Shards::withdrawn(self, channel_ids).await;
    }
}
