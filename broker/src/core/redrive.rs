//! What an operator of the channel does with its messages: dead letters that get another chance, and messages that go.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Core, EVENTS_PER_TURN, Reading, Recorded, StoreFailed, Ticket, bury::Moved, promise::SETTLE_BYTES,
};
use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    clock::after,
    log::{Coming, Log, Purpose, Record, Sync},
};

/// What one turn of a redrive did.
#[derive(Debug)]
pub struct Redriven {
    /// Dead letters that are ready again.
    pub moved: u64,
    /// Dead letters that cannot be read, and so cannot go to another channel.
    pub unreadable: u64,
    /// Dead letters that are left, those among them.
    pub left: u64,
    /// Where to go on; absent when there is nothing more to do, or no room.
    pub next: Option<Sequence>,
    /// The content of the message `next`, which cannot be moved before it has come.
    pub coming: Option<Coming>,
    /// When it is on disk.
    pub ticket: Ticket,
}

impl<L: Log> Core<L> {
    /// Dead letters from the sequence `from` on, at most `max`, are ready again in their own channel or in `to`. A few at a
    /// time: the caller goes on at `next`, and brings the content that is said to be coming.
    pub fn redrive(
        &mut self,
        entry: &Arc<ChannelEntry>,
        to: Option<&Arc<ChannelEntry>>,
        from: Sequence,
        max: u64,
        mut brought: Option<Recorded>,
    ) -> Result<Redriven, StoreFailed> {
        let now = self.alive()?;
        let number = entry.number;
        let to = to.filter(|to| to.number != number);
        let turn = max.min(EVENTS_PER_TURN as u64) as usize;
        let dead = match self.channel(entry) {
            Some(channel) => channel.state.in_state(State::Dead, from, turn),
            None => Vec::new(),
        };
        let mut next = dead.last().filter(|_| dead.len() == turn).map(|last| last + 1);
        let (mut moved, mut unreadable, mut coming) = (0, 0, None);
        for sequence in dead {
            let done = match to {
                Some(to) => {
                    let recorded = match self.brought_or_content_of(&mut brought, from, number, sequence)? {
                        Some(Reading::Here(recorded)) => recorded,
                        Some(Reading::Coming(its)) => {
                            (next, coming) = (Some(sequence), Some(its));
                            break;
                        }
                        Some(Reading::Unreadable(_)) => {
                            unreadable += 1;
                            continue;
                        }
                        None => continue,
                    };
                    self.move_message(number, sequence, to, recorded, Moved::Redriven)?
                }
                None if !self.has_room_for_state(Purpose::Change) => false,
                None => {
                    let expires_at = entry.config.limits.ttl_ms().map(|ttl| after(now, ttl));
                    let channel = self.channels.get_mut(&number);
                    let revived = channel.is_some_and(|channel| channel.state.revive(sequence, expires_at));
                    self.record_state(number, sequence, Purpose::Change)?;
                    revived
                }
            };
            if !done {
                next = None;
                break;
            }
            moved += 1;
        }
        self.metrics.redriven.inc_by(moved);
        let ticket = self.appended_some(moved);
        self.serve_waiting(number);
        self.touch(number);
        let left = self.channels.get(&number).map_or(0, |channel| channel.state.count(State::Dead));
        Ok(Redriven { moved, unreadable, left, next, coming, ticket })
    }

    /// Messages of a state go for ever. A few at a time: the caller asks again until none went.
    pub fn purge(&mut self, entry: &Arc<ChannelEntry>, state: State) -> Result<(u64, Ticket), StoreFailed> {
        self.alive()?;
        let number = entry.number;
        let goes = match self.channel(entry) {
            Some(channel) => channel.state.in_state(state, 0, EVENTS_PER_TURN),
            None => Vec::new(),
        };
        let mut gone = 0;
        for sequence in goes {
            if !self.remove_message(number, sequence)? {
                break;
            }
            gone += 1;
        }
        self.metrics.purged.inc_by(gone);
        let ticket = self.appended_some(gone);
        self.serve_waiting(number);
        self.touch(number);
        Ok((gone, ticket))
    }

    /// The promise of so many records; of none, that of what was there before.
    fn appended_some(&mut self, records: u64) -> Ticket {
        if records > 0 { self.appended(Sync::Now) } else { self.everything_so_far(Sync::Now) }
    }

    /// A message makes room for a newer one.
    pub(super) fn drop_message(&mut self, number: u32, sequence: Sequence) -> Result<(), StoreFailed> {
        if self.remove_message(number, sequence)? {
            self.metrics.dropped.inc();
            if let Some(channel) = self.channels.get(&number) {
                channel.counters.dropped.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// A message leaves its channel though nobody settled it. False when the log has no room for that: then it stays.
    fn remove_message(&mut self, number: u32, sequence: Sequence) -> Result<bool, StoreFailed> {
        if !self.log.has_room(Purpose::Settle, SETTLE_BYTES) {
            return Ok(false);
        }
        let channel = self.channels.get_mut(&number);
        let Some(message) = channel.and_then(|channel| channel.state.remove(sequence)) else {
            return Ok(true);
        };
        self.append(&Record::Settle { channel: number, sequence }, Purpose::Settle)?;
        let _ = self.appended(Sync::Later);
        self.forget(number, sequence, &message);
        Ok(true)
    }

    /// A message whose time is over has left its channel already.
    pub(super) fn expired(
        &mut self,
        number: u32,
        sequence: Sequence,
        message: &crate::channel::Message,
    ) -> Result<(), StoreFailed> {
        self.metrics.expired.inc();
        if let Some(channel) = self.channels.get(&number) {
            channel.counters.expired.fetch_add(1, Relaxed);
        }
        self.append(&Record::Settle { channel: number, sequence }, Purpose::Settle)?;
        let _ = self.appended(Sync::Later);
        self.forget(number, sequence, message);
        Ok(())
    }
}
