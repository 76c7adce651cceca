//! What the control API asks of the channels, wherever they run.

use std::{future::Future, sync::Arc};

use restante_wire::{ChannelStats, control::Redriven};

use crate::{
    address_store::ChannelEntry,
    channel::State,
    clock::Millis,
    core::{CoreGone, Cores, Redrive, WorkFailed},
    log::disk::Cut,
};

/// The channels, as the control API reaches them.
pub trait Channels: Clone + Send + Sync + 'static {
    /// What channels hold now, in the order asked for.
    fn stats(
        &self,
        channels: Vec<Arc<ChannelEntry>>,
    ) -> impl Future<Output = Result<Vec<ChannelStats>, CoreGone>> + Send;

    /// Deletes a channel's messages for ever, if there are none or `force` says so, and takes none any more: on disk when it
    /// returns. Returns how many messages went, or how many stand in the way.
    fn close(
        &self,
        entry: Arc<ChannelEntry>,
        force: bool,
    ) -> impl Future<Output = Result<Result<u64, u64>, WorkFailed>> + Send;

    /// Ends a channel's deletion, once the address store has forgotten it.
    fn removed(&self, number: u32) -> impl Future<Output = ()> + Send;

    /// Tells these channels that they may have another configuration.
    fn changed(&self, entries: Vec<Arc<ChannelEntry>>) -> impl Future<Output = ()> + Send;

    /// Makes dead letters ready again: how many, how many are left, and where.
    fn redrive(&self, redrive: Redrive) -> impl Future<Output = Result<Redriven, WorkFailed>> + Send;

    /// Drops all messages of some states: how many.
    fn purge(
        &self,
        entry: Arc<ChannelEntry>,
        states: Vec<State>,
    ) -> impl Future<Output = Result<u64, WorkFailed>> + Send;

    /// The log as it is now: all that was answered by now is in it.
    fn cut(&self) -> impl Future<Output = Result<Vec<Cut>, WorkFailed>> + Send;

    /// The time now, as people are told it: the wall clock's.
    fn now(&self) -> Millis;

    /// Tells whoever waits on these channels that their address is gone.
    fn withdrawn(&self, numbers: Vec<u32>) -> impl Future<Output = ()> + Send;
}

impl Channels for Cores {
    async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, CoreGone> {
        Cores::stats(self, channels).await
    }

    async fn close(&self, entry: Arc<ChannelEntry>, force: bool) -> Result<Result<u64, u64>, WorkFailed> {
        Cores::close(self, entry, force).await
    }

    async fn removed(&self, number: u32) {
        Cores::removed(self, number).await;
    }

    async fn changed(&self, entries: Vec<Arc<ChannelEntry>>) {
        Cores::changed(self, entries).await;
    }

    async fn redrive(&self, redrive: Redrive) -> Result<Redriven, WorkFailed> {
        Cores::redrive(self, redrive).await
    }

    async fn purge(&self, entry: Arc<ChannelEntry>, states: Vec<State>) -> Result<u64, WorkFailed> {
        Cores::purge(self, entry, states).await
    }

    async fn cut(&self) -> Result<Vec<Cut>, WorkFailed> {
        Cores::cut(self).await
    }

    fn now(&self) -> Millis {
        let clock = self.clock();
        clock.wall(clock.now())
    }

    async fn withdrawn(&self, numbers: Vec<u32>) {
        Cores::withdrawn(self, numbers).await;
    }
}
