//! All cores of a broker, as threads reach them that have none: the ports of the operator and of probes.

use std::{collections::BTreeMap, sync::Arc};

use restante_wire::ChannelStats;

use super::{CoreGone, CoreHandle, CounterRegistry, Here, Samples, WorkFailed};
use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, State},
    clock::Clock,
    log::{DiskLog, Log},
};

/// The cores.
pub struct Cores<L = DiskLog> {
    handles: Arc<[CoreHandle<L>]>,
    counters: Arc<CounterRegistry>,
    clock: Clock,
}

impl<L> Clone for Cores<L> {
    fn clone(&self) -> Self {
        Self { handles: self.handles.clone(), counters: self.counters.clone(), clock: self.clock.clone() }
    }
}

impl<L: Log> Cores<L> {
    /// All cores, in their order; with the counters and the clock that they have in common.
    pub fn new(handles: Vec<CoreHandle<L>>, counters: Arc<CounterRegistry>, clock: Clock) -> Self {
        Self { handles: handles.into(), counters, clock }
    }

    /// The core of a channel.
    pub(super) fn of(&self, channel: u32) -> &CoreHandle<L> {
        &self.handles[self.here().core_of(channel)]
    }

    /// All of them.
    pub(super) fn all(&self) -> &[CoreHandle<L>] {
        &self.handles
    }

    /// One of them.
    pub(super) fn core(&self, core: usize) -> &CoreHandle<L> {
        &self.handles[core]
    }

    fn here(&self) -> Here {
        Here { core: 0, cores: self.handles.len() }
    }

    /// What each core is to be told of.
    fn spread<T>(
        &self,
        all: Vec<T>,
        channel: impl Fn(&T) -> u32,
    ) -> impl Iterator<Item = (&CoreHandle<L>, Vec<T>)> {
        let mut spread: BTreeMap<usize, Vec<T>> = BTreeMap::new();
        for one in all {
            spread.entry(self.here().core_of(channel(&one))).or_default().push(one);
        }
        spread.into_iter().map(|(core, part)| (&self.handles[core], part))
    }

    /// A channel's counters.
    pub fn counters(&self, number: u32) -> Arc<ChannelCounters> {
        self.counters.get(number)
    }

    /// What their logs and tables hold.
    pub fn samples(&self) -> Samples {
        let sum = Samples::default();
        self.handles.iter().for_each(|core| sum.add(core.samples()));
        sum
    }

    /// Senders that wait for room, on all channels.
    pub fn waiting_senders(&self) -> u64 {
        self.counters.waiting_senders()
    }

    /// Receivers that wait, on all channels.
    pub fn waiting_receivers(&self) -> u64 {
        self.counters.waiting_receivers()
    }

    /// The clock that all times of the cores are by.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What channels hold now, read from their counters: no core is disturbed.
    pub async fn stats(&self, channels: Vec<Arc<ChannelEntry>>) -> Result<Vec<ChannelStats>, CoreGone> {
        let now = self.clock.now();
        Ok(channels.iter().map(|entry| self.counters.get(entry.number).stats(&entry.config, now)).collect())
    }

    /// Deletes a channel for ever, if it is empty or `force` says so: on disk when it returns. Returns how many messages went
    /// with it, or how many stand in the way.
    pub async fn close(&self, entry: Arc<ChannelEntry>, force: bool) -> Result<Result<u64, u64>, WorkFailed> {
        let closed = self.of(entry.number).run(move |core| core.close(&entry, force));
        Ok(match closed.await?? {
            Ok((messages, ticket)) => {
                ticket.wait().await?;
                Ok(messages)
            }
            Err(messages) => Err(messages),
        })
    }

    /// The address store has forgotten a channel that was deleted.
    pub async fn removed(&self, number: u32) {
        // A core that is gone holds nothing any more.
        let _ = self.of(number).run(move |core| core.removed(number)).await;
    }

    /// These channels may have another configuration.
    pub async fn changed(&self, entries: Vec<Arc<ChannelEntry>>) {
        for (core, entries) in self.spread(entries, |entry| entry.number) {
            let _ = core.run(move |core| core.changed(&entries)).await;
        }
    }

    /// Drops all messages of some states: how many. A few at a time; on disk when it returns.
    pub async fn purge(&self, entry: Arc<ChannelEntry>, states: Vec<State>) -> Result<u64, WorkFailed> {
        let core = self.of(entry.number);
        let mut purged = 0;
        for state in states {
            loop {
                let entry = entry.clone();
                let (gone, ticket) = core.run(move |core| core.purge(&entry, state)).await??;
                purged += gone;
                if gone == 0 {
                    ticket.wait().await?;
                    break;
                }
            }
        }
        Ok(purged)
    }

    /// The addresses of these channels answer 404 from now on: whoever waits there is told.
    pub async fn withdrawn(&self, numbers: Vec<u32>) {
        for (core, numbers) in self.spread(numbers, |number| *number) {
            let _ = core.run(move |core| numbers.into_iter().for_each(|number| core.withdraw(number))).await;
        }
    }
}
