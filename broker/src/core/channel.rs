//! A core's channels: made when they are first used, or found in the log at start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Channel, Core};
use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, ChannelState, WaitingReceivers},
};

/// Every channel's counters, for the threads that read them. Written only when a channel comes or goes.
#[derive(Debug, Default)]
pub struct CounterRegistry(Mutex<HashMap<u32, Arc<ChannelCounters>>>);

impl CounterRegistry {
    /// The counters of a channel; zeros when it was never used.
    pub fn get(&self, number: u32) -> Arc<ChannelCounters> {
        self.lock().get(&number).cloned().unwrap_or_default()
    }

    /// Receivers that wait, on all channels.
    pub fn waiting_receivers(&self) -> u64 {
        self.lock().values().map(|counters| counters.waiting()).sum()
    }

    fn get_or_insert(&self, number: u32) -> Arc<ChannelCounters> {
        self.lock().entry(number).or_default().clone()
    }

    fn remove(&self, number: u32) {
        self.lock().remove(&number);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<ChannelCounters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    pub(super) fn new(entry: Arc<ChannelEntry>, state: ChannelState, counters: &CounterRegistry) -> Self {
        let counters = counters.get_or_insert(entry.number);
        let channel = Self { entry, state, waiting: WaitingReceivers::default(), counters };
        channel.publish();
        channel
    }

    /// Shows other threads what the channel holds now.
    pub(super) fn publish(&self) {
        self.counters.publish(&self.state, self.waiting.len());
    }
}

impl Core {
    /// The channel of an entry, with the entry's configuration from now on; `None` when its deletion has begun.
    pub(super) fn channel(&mut self, entry: &Arc<ChannelEntry>) -> Option<&mut Channel> {
        if self.closed.contains(&entry.number) {
            return None;
        }
        let channel = self
            .channels
            .entry(entry.number)
            .or_insert_with(|| Channel::new(entry.clone(), ChannelState::default(), &self.counters));
        if !Arc::ptr_eq(&channel.entry, entry) {
            channel.entry = entry.clone();
        }
        Some(channel)
    }

    /// Begins a channel's deletion, if it is empty or `force` says so: from now on it takes no message. Returns how many
    /// go with it, or how many stand in the way.
    pub fn close(&mut self, number: u32, force: bool) -> Result<u64, u64> {
        let messages = self.channels.get(&number).map_or(0, |channel| channel.state.count());
        if messages > 0 && !force {
            return Err(messages);
        }
        self.closed.insert(number);
        Ok(messages)
    }

    /// Takes a deletion back that could not be stored.
    pub fn reopen(&mut self, number: u32) {
        self.closed.remove(&number);
    }

    /// Ends a channel's deletion, once the address store has forgotten it for ever: at the next start the log's records
    /// of its number belong to nobody.
    pub fn remove(&mut self, number: u32) {
        let Some(channel) = self.channels.remove(&number) else { return };
        for (sequence, message) in channel.state.messages() {
            self.contents.remove(number, sequence);
            self.log.release(message.stored.position);
        }
        self.counters.remove(number);
        self.wakers.commit.notify_one();
    }

    /// The channel's addresses answer 404 from now on: whoever waits there is told.
    pub fn withdraw(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.waiting.clear();
            channel.publish();
        }
    }
}
