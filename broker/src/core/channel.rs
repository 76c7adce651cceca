//! A core's channels: made when they are first used, or found in the log at start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Channel, Core, Ticket, WorkFailed, by_channel, by_channel::Holder, room};
use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, ChannelState, Policy},
    log::{Log, Purpose, Record, Sync},
    shared::{Share, Shared},
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
        self.lock().values().map(|counters| counters.waiting_receivers()).sum()
    }

    /// Senders that wait, on all channels.
    pub fn waiting_senders(&self) -> u64 {
        self.lock().values().map(|counters| counters.waiting_senders()).sum()
    }

    pub(super) fn get_or_insert(&self, number: u32) -> Arc<ChannelCounters> {
        self.lock().entry(number).or_default().clone()
    }

    fn remove(&self, number: u32) {
        self.lock().remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<ChannelCounters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a channel stores, as its share of the disk.
#[derive(Debug)]
pub(super) struct Stored(pub(super) Share);

impl Drop for Stored {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl Channel {
    pub(super) fn new(
        entry: Arc<ChannelEntry>,
        mut state: ChannelState,
        counters: &CounterRegistry,
        disk: &Shared<Holder>,
    ) -> Self {
        state.set_order(entry.config.delivery.order);
        let channel = Self {
            policy: Policy::of(&entry.config),
            rate: room::rate_limiter(&entry.config.limits),
            counters: counters.get_or_insert(entry.number),
            disk: Stored(by_channel::share(disk, entry.number, &entry.config.namespace)),
            entry,
            state,
            receivers: Default::default(),
            senders: Default::default(),
            attempts: Default::default(),
            lease_ended: Arc::default(),
            wakes_at: None,
            listed_as_idle: false,
            lacks_memory: false,
            owed: 0,
        };
        channel.publish();
        channel
    }

    /// The channel obeys another configuration from now on. Its messages are not touched.
    fn configure(&mut self, entry: Arc<ChannelEntry>) {
        if self.entry.config.limits.pushes_per_second != entry.config.limits.pushes_per_second {
            self.rate = room::rate_limiter(&entry.config.limits);
        }
        self.policy = Policy::of(&entry.config);
        self.state.set_order(entry.config.delivery.order);
        self.entry = entry;
        self.senders.wake_all();
    }

    /// Shows other threads what the channel holds now.
    pub(super) fn publish(&self) {
        self.counters.publish(&self.state, self.receivers.len(), self.senders.len());
        self.disk.0.set(self.state.bytes());
    }
}

impl<L: Log> Core<L> {
    /// The channel of an entry; `None` when its deletion has begun.
    pub(super) fn channel(&mut self, entry: &Arc<ChannelEntry>) -> Option<&mut Channel> {
        if self.closed.contains(&entry.number) {
            return None;
        }
        let known =
            self.channels.get(&entry.number).is_some_and(|channel| Arc::ptr_eq(&channel.entry, entry));
        if !known {
            // The request may be older than the newest configuration.
            self.configure(entry.number, entry);
        }
        self.channels.get_mut(&entry.number).map(|channel| &mut **channel)
    }

    /// These channels may have another configuration.
    pub fn changed(&mut self, entries: &[Arc<ChannelEntry>]) {
        for entry in entries {
            // One that rests or was never used is made when it is.
            if self.channels.contains_key(&entry.number) && !self.closed.contains(&entry.number) {
                self.configure(entry.number, entry);
                self.serve_waiting(entry.number);
                self.touch(entry.number);
            }
        }
    }

    /// Gives a channel the configuration that the address store has, and makes it if need be.
    fn configure(&mut self, number: u32, entry: &Arc<ChannelEntry>) {
        let newest = self.store.by_number(number).unwrap_or_else(|| entry.clone());
        match self.channels.get_mut(&number) {
            Some(channel) if Arc::ptr_eq(&channel.entry, &newest) => {}
            Some(channel) => channel.configure(newest),
            None => {
                let state = self.resting.wake(number);
                self.channels
                    .insert(number, Box::new(Channel::new(newest, state, &self.counters, &self.disk)));
            }
        }
    }

    /// Deletes a channel for ever, if it is empty or `force` says so: its messages and its keys go, and it takes none any more.
    /// Returns how many messages went, or how many stand in the way; those that are on their way to it among them. When the
    /// promise is kept the log knows it; then the address store may forget the channel, and until it does the channel is there
    /// and takes nothing.
    pub fn close(
        &mut self,
        entry: &ChannelEntry,
        force: bool,
    ) -> Result<Result<(u64, Ticket), u64>, WorkFailed> {
        self.alive()?;
        let number = entry.number;
        if self.closed.contains(&number) {
            return Ok(Ok((0, self.everything_so_far(Sync::Now))));
        }
        let under_way = &self.counters.get_or_insert(number).under_way;
        under_way.close(true);
        let here = self.channels.get(&number).map_or(0, |channel| channel.state.messages_count());
        let messages = here + under_way.messages();
        if messages > 0 && !force {
            under_way.close(false);
            return Ok(Err(messages));
        }
        let record = Record::ChannelClosed { channel: number, uid: entry.config.uid.as_u128() };
        if !self.log.has_room(Purpose::Settle, record.encoded_len()) {
            self.counters.get_or_insert(number).under_way.close(false);
            return Err(WorkFailed::NoRoom);
        }
        self.append(&record, Purpose::Settle)?;
        let ticket = self.appended(Sync::Now);
        self.closed.insert(number);
        self.drop_channel(number);
        Ok(Ok((messages, ticket)))
    }

    /// The address store has forgotten a deleted channel: nobody asks for it, or sends anything to it, any more.
    pub fn removed(&mut self, number: u32) {
        self.counters.remove(number);
    }

    /// Nothing of a deleted channel is written any more: what there is of it in the log comes before its deletion.
    fn drop_channel(&mut self, number: u32) {
        self.resting.forget(number);
        let Some(mut channel) = self.channels.remove(&number) else { return };
        channel.counters.publish(&ChannelState::default(), 0, 0);
        self.timers.remove(number, channel.wakes_at);
        channel.receivers.dismiss();
        channel.senders.wake_all();
        channel.lease_ended.notify_waiters();
        for (sequence, message) in channel.state.messages() {
            self.contents.remove(number, sequence);
            self.release_position(message.stored.position);
            if let Some(state_at) = message.state_at {
                self.log.release(state_at);
            }
        }
        self.owe(channel.owed, 0);
        self.wakers.commit.notify_one();
    }

    /// The channel's addresses answer 404 from now on: whoever waits there is told.
    pub fn withdraw(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.receivers.dismiss();
            channel.attempts.nobody_waits();
            channel.senders.wake_all();
            self.touch(number);
        }
    }
}
