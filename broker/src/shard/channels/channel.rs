//! The channels of a shard: created at their first use, or replayed from the log at start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, ChannelState, Policy},
    log::{ChannelId, Log, Purpose, Record, Sync},
    shard::{
        Channel, Live, Shard, Ticket, WorkFailed,
        channels::{
            admission,
            channel_shares::{self, Holder},
        },
    },
    shared::{Share, Shared},
};

/// The counters of all channels, for threads that read them. The map changes only when a channel is created or deleted.
#[derive(Debug, Default)]
pub struct CounterRegistry(Mutex<HashMap<ChannelId, Arc<ChannelCounters>>>);

impl CounterRegistry {
    /// The counters of a channel; zeros if it was never used.
    pub fn get(&self, channel_id: ChannelId) -> Arc<ChannelCounters> {
        self.lock().get(&channel_id).cloned().unwrap_or_default()
    }

    pub fn waiting_receivers(&self) -> u64 {
        self.lock().values().map(|counters| counters.waiting_receivers()).sum()
    }

    pub fn waiting_senders(&self) -> u64 {
        self.lock().values().map(|counters| counters.waiting_senders()).sum()
    }

    pub(in crate::shard) fn get_or_insert(&self, channel_id: ChannelId) -> Arc<ChannelCounters> {
        self.lock().entry(channel_id).or_default().clone()
    }

    fn remove(&self, channel_id: ChannelId) {
        self.lock().remove(&channel_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Arc<ChannelCounters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that a channel stores, as its share of the disk; returned on drop.
#[derive(Debug)]
pub(in crate::shard) struct DiskShare(pub(in crate::shard) Share);

impl Drop for DiskShare {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

impl Channel {
    pub(in crate::shard) fn new(
        entry: Arc<ChannelEntry>,
        mut state: ChannelState,
        counters: &CounterRegistry,
        disk: &Shared<Holder>,
    ) -> Self {
        state.set_order(entry.config.delivery.order);
        let live = Live {
            policy: Policy::of(&entry.config),
            rate: admission::rate_limiter(&entry.config.limits),
            counters: counters.get_or_insert(entry.id),
            disk: DiskShare(channel_shares::share(disk, entry.id, &entry.config.namespace)),
            entry,
            receivers: Default::default(),
            senders: Default::default(),
            attempts: Default::default(),
            lease_ended: Arc::default(),
            wakes_at: None,
            listed_as_idle: false,
            lacks_memory: false,
            reserved_records: 0,
        };
        let channel = Self { state, live };
        channel.publish();
        channel
    }

    /// Applies another configuration. Messages are not touched.
    fn configure(&mut self, entry: Arc<ChannelEntry>) {
        if self.live.entry.config.limits.pushes_per_second != entry.config.limits.pushes_per_second {
            self.live.rate = admission::rate_limiter(&entry.config.limits);
        }
        self.live.policy = Policy::of(&entry.config);
        self.state.set_order(entry.config.delivery.order);
        self.live.entry = entry;
        self.live.senders.wake_all();
    }

    /// Publishes the channel's numbers for other threads.
    pub(in crate::shard) fn publish(&self) {
        self.live.counters.publish(&self.state, self.live.receivers.len(), self.live.senders.len());
        self.live.disk.0.set(self.state.bytes());
    }
}

impl<L: Log> Shard<L> {
    /// The channel of an entry, created if necessary; `None` if it is being deleted.
    pub(in crate::shard) fn channel(&mut self, entry: &Arc<ChannelEntry>) -> Option<&mut Channel> {
        if self.facts.closed.contains_key(&entry.id) {
            return None;
        }
        let known =
            self.facts.channels.get(&entry.id).is_some_and(|channel| Arc::ptr_eq(&channel.live.entry, entry));
        if !known {
            // The request may be older than the newest configuration.
            self.configure(entry.id, entry);
        }
        self.facts.channels.get_mut(&entry.id).map(|channel| &mut **channel)
    }

    /// Applies configurations that may have changed.
    pub fn changed(&mut self, entries: &[Arc<ChannelEntry>]) {
        for entry in entries {
            // An idle or unused channel gets its configuration when it is created.
            if self.facts.channels.contains_key(&entry.id) && !self.facts.closed.contains_key(&entry.id) {
                self.configure(entry.id, entry);
                self.serve_waiting(entry.id);
                self.touch(entry.id);
            }
        }
    }

    /// Applies the address store's configuration to a channel, creating it if necessary.
    fn configure(&mut self, channel_id: ChannelId, entry: &Arc<ChannelEntry>) {
        let newest = self.store.by_id(channel_id).unwrap_or_else(|| entry.clone());
        match self.facts.channels.get_mut(&channel_id) {
            Some(channel) if Arc::ptr_eq(&channel.live.entry, &newest) => {}
            Some(channel) => channel.configure(newest),
            None => {
                let state = self.idle.restore(channel_id);
                self.facts
                    .channels
                    .insert(channel_id, Box::new(Channel::new(newest, state, &self.counters, &self.disk)));
            }
        }
    }

    /// Deletes a channel permanently, if it is empty or with `force`: its messages and keys go, and it accepts no more.
    /// Returns the number of messages that went, or that prevent the deletion; messages in relay to it count. When the
    /// ticket is committed, the deletion is in the log, and the address store may remove the channel. Until then the
    /// channel exists and accepts nothing.
    pub fn close(
        &mut self,
        entry: &ChannelEntry,
        force: bool,
    ) -> Result<Result<(u64, Ticket), u64>, WorkFailed> {
        self.alive()?;
        let channel_id = entry.id;
        if self.facts.closed.contains_key(&channel_id) {
            return Ok(Ok((0, self.ticket_so_far(Sync::Now))));
        }
        let in_relay = &self.counters.get_or_insert(channel_id).in_relay;
        in_relay.close(true);
        let here = self.facts.channels.get(&channel_id).map_or(0, |channel| channel.state.messages_count());
        let messages = here + in_relay.messages();
        if messages > 0 && !force {
            in_relay.close(false);
            return Ok(Err(messages));
        }
        let record = Record::ChannelClosed { channel: channel_id, uid: entry.config.uid.as_u128() };
        if !self.ledger.log.has_room(Purpose::Settle, record.encoded_len()) {
            self.counters.get_or_insert(channel_id).in_relay.close(false);
            return Err(WorkFailed::NoRoom);
        }
        self.dismiss_all(channel_id);
        self.write(&record, Purpose::Settle)?;
        Ok(Ok((messages, self.ledger.appended(Sync::Now))))
    }

    /// The address store has removed a deleted channel: nobody uses its counters any more.
    pub fn removed(&mut self, channel_id: ChannelId) {
        self.counters.remove(channel_id);
    }

    /// Drops what the shard keeps of a channel that is deleted next: all but its facts.
    fn dismiss_all(&mut self, channel_id: ChannelId) {
        self.idle.forget(channel_id);
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
        channel.live.counters.publish(&ChannelState::default(), 0, 0);
        self.timers.remove(channel_id, channel.live.wakes_at);
        channel.live.receivers.dismiss();
        channel.live.senders.wake_all();
        channel.live.lease_ended.notify_waiters();
        for (sequence, _) in channel.state.messages() {
            self.contents.remove(channel_id, sequence);
        }
        let reserved = channel.live.reserved_records;
        self.change_reserve(reserved, 0);
        self.wakers.commit.notify_one();
    }

    /// Dismisses all waiting receivers and senders: the channel's addresses answer 404 from now on.
    pub fn withdraw(&mut self, channel_id: ChannelId) {
        if let Some(channel) = self.facts.channels.get_mut(&channel_id) {
            channel.live.receivers.dismiss();
            channel.live.attempts.stop_all_waiting();
            channel.live.senders.wake_all();
            self.touch(channel_id);
        }
    }
}
