//! Redrive and purge: dead letters become ready again, and messages are removed.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    clock::after,
    log::{ChannelId, Coming, Log, Purpose, Record, RemovalCause, Sync},
    shard::{
        EVENTS_PER_TURN, Reading, Shard, StoreFailed, StoredMessage, Ticket, dead_letter::MoveCause,
        facts::records, ledger::reserve::SETTLE_BYTES,
    },
};

/// Outcome of one turn of a redrive.
#[derive(Debug)]
pub struct RedriveTurn {
    /// Dead letters that are ready again.
    pub moved: u64,
    /// Dead letters that are unreadable, and cannot move to another channel.
    pub unreadable: u64,
    /// Dead letters that remain, unreadable ones included.
    pub left: u64,
    /// Where to continue; `None` at the end, or without room.
    pub next: Option<Sequence>,
    /// The message `next`, which must be read first.
    pub coming: Option<Coming>,
    pub ticket: Ticket,
}

impl<L: Log> Shard<L> {
    /// Makes dead letters from the sequence `from` on ready again, in their own channel or in `to`: at most `max`, and
    /// a few at a time. The caller continues at `next`, with the message that `coming` reads.
    pub fn redrive(
        &mut self,
        entry: &Arc<ChannelEntry>,
        to: Option<&Arc<ChannelEntry>>,
        from: Sequence,
        max: u64,
        mut brought: Option<StoredMessage>,
    ) -> Result<RedriveTurn, StoreFailed> {
        let now = self.alive()?;
        let channel_id = entry.id;
        let to = to.filter(|to| to.id != channel_id);
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
                    let recorded =
                        match self.brought_or_content_of(&mut brought, from, channel_id, sequence)? {
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
                    self.move_message(channel_id, sequence, to, recorded, MoveCause::Redrive)?
                }
                None if !self.has_room_for_state(Purpose::Change) => false,
                None => {
                    let expires_at = entry.config.limits.ttl_ms().map(|ttl| after(now, ttl));
                    let channel = self.facts.channels.get(&channel_id);
                    let to = channel.and_then(|channel| channel.state.decide_redrive(sequence, expires_at));
                    if let Some(to) = &to {
                        self.write(&records::state(channel_id, sequence, to), Purpose::Change)?;
                    }
                    to.is_some()
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
        self.serve_waiting(channel_id);
        self.touch(channel_id);
        let left = self.facts.channels.get(&channel_id).map_or(0, |channel| channel.state.count(State::Dead));
        Ok(RedriveTurn { moved, unreadable, left, next, coming, ticket })
    }

    /// Removes messages of a state permanently, a few at a time. The caller repeats it until none was removed.
    pub fn purge(&mut self, entry: &Arc<ChannelEntry>, state: State) -> Result<(u64, Ticket), StoreFailed> {
        self.alive()?;
        let channel_id = entry.id;
        let goes = match self.channel(entry) {
            Some(channel) => channel.state.in_state(state, 0, EVENTS_PER_TURN),
            None => Vec::new(),
        };
        let mut gone = 0;
        for sequence in goes {
            if !self.remove_message(channel_id, sequence, RemovalCause::Purged)? {
                break;
            }
            gone += 1;
        }
        self.metrics.purged.inc_by(gone);
        let ticket = self.appended_some(gone);
        self.serve_waiting(channel_id);
        self.touch(channel_id);
        Ok((gone, ticket))
    }

    /// A ticket for these records, or without any, for everything appended before.
    fn appended_some(&mut self, records: u64) -> Ticket {
        if records > 0 { self.ledger.appended(Sync::Now) } else { self.ticket_so_far(Sync::Now) }
    }

    /// Drops a message to make room for a newer one.
    pub(super) fn drop_message(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
    ) -> Result<(), StoreFailed> {
        if self.remove_message(channel_id, sequence, RemovalCause::Dropped)? {
            self.metrics.dropped.inc();
            if let Some(channel) = self.facts.channels.get(&channel_id) {
                channel.live.counters.dropped.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    /// Removes a message without a settle. False if the log has no room for the record: then the message stays.
    fn remove_message(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        cause: RemovalCause,
    ) -> Result<bool, StoreFailed> {
        if !self.ledger.log.has_room(Purpose::Settle, SETTLE_BYTES) {
            return Ok(false);
        }
        if self.message(channel_id, sequence).is_none() {
            return Ok(true);
        }
        self.write(&Record::Removed { channel: channel_id, sequence, cause }, Purpose::Settle)?;
        let _ = self.ledger.appended(Sync::Later);
        self.message_left(channel_id, sequence);
        Ok(true)
    }

    /// Removes a message that expired. The caller has checked the room.
    pub(super) fn expire(&mut self, channel_id: ChannelId, sequence: Sequence) -> Result<(), StoreFailed> {
        self.metrics.expired.inc();
        if let Some(channel) = self.facts.channels.get(&channel_id) {
            channel.live.counters.expired.fetch_add(1, Relaxed);
        }
        let cause = RemovalCause::Expired;
        self.write(&Record::Removed { channel: channel_id, sequence, cause }, Purpose::Settle)?;
        let _ = self.ledger.appended(Sync::Later);
        self.message_left(channel_id, sequence);
        Ok(())
    }
}
