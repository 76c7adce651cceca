//! Events of time: leases expire, delayed messages become ready, and messages expire.

use crate::{
    channel::Elapsed,
    clock::Millis,
    log::{ChannelId, Log, Purpose},
    shard::{EVENTS_PER_TURN, Shard, StoreFailed, ledger::reserve::ROOM_AGAIN_AFTER_MS},
};

impl<L: Log> Shard<L> {
    /// Processes due events, a part of each channel's. The rest is due again at once.
    pub fn elapse(&mut self) {
        let Ok(now) = self.alive() else { return };
        for channel_id in self.timers.take_due(now) {
            if let Some(channel) = self.facts.channels.get_mut(&channel_id) {
                channel.live.wakes_at = None;
            }
            // The failure of the log was reported.
            let Ok(may_go_on) = self.elapse_in(channel_id, now) else { return };
            if !may_go_on {
                // Due events wait until there is room for their records.
                self.wake_at(channel_id, now + ROOM_AGAIN_AFTER_MS);
                continue;
            }
            self.serve_waiting(channel_id);
            self.touch(channel_id);
        }
    }

    /// Processes a channel's due events, if its timer has not fired yet: a busy thread fires timers late, as all
    /// threads do when the broker starts.
    pub(super) fn catch_up(&mut self, channel_id: ChannelId, now: Millis) -> Result<(), StoreFailed> {
        let channel = self.facts.channels.get(&channel_id);
        if channel.is_some_and(|channel| channel.live.wakes_at.is_some_and(|at| at <= now)) {
            self.elapse_in(channel_id, now)?;
            self.serve_waiting(channel_id);
        }
        Ok(())
    }

    /// False if the log has no room for the records.
    fn elapse_in(&mut self, channel_id: ChannelId, now: Millis) -> Result<bool, StoreFailed> {
        for _ in 0..EVENTS_PER_TURN {
            let Some(channel) = self.facts.channels.get(&channel_id) else { return Ok(true) };
            if channel.state.next_event().is_none_or(|at| at > now) {
                return Ok(true);
            }
            if !self.has_room_for_state(Purpose::Settle) {
                return Ok(false);
            }
            let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return Ok(true) };
            let event = channel.state.decide_event(&channel.live.policy, now);
            let Some((sequence, elapsed)) = event else { return Ok(true) };
            match elapsed {
                // The record of the lease or of the message has the time: only a clock mark is missing.
                Elapsed::Ready(to) => {
                    let _ = channel.state.apply(sequence, to, None);
                    self.lease_ended(channel_id, sequence);
                    self.mark_if_due();
                }
                Elapsed::Expired => self.expire(channel_id, sequence)?,
                Elapsed::DeadLettered(to) => {
                    self.record_dead_letter(channel_id, sequence, to)?;
                    let _ = self.ledger.appended(crate::log::Sync::Later);
                }
            }
        }
        Ok(true)
    }

    /// Time until the next timer.
    pub fn next_wake(&self) -> Option<Millis> {
        self.timers.next().map(|at| at.saturating_sub(self.clock.now()))
    }
}
