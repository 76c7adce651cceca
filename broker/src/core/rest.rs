//! Channels in which nothing happens. Of most of them nothing is kept but their counters and the sequence that the next
//! message gets: a channel is made again when somebody comes to it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{Channel, Core};
use crate::{
    channel::{ChannelState, Sequence},
    log::Log,
};

/// Idle channels that are kept as they are, because whoever was there may soon be there again: of about two kilobytes each.
/// Few under test, so that channels come and go.
const KEPT: usize = if cfg!(test) { 1 } else { 1024 };

/// Channels that rest, and those that are about to.
#[derive(Debug, Default)]
pub(super) struct Resting {
    /// The sequence that the next message gets, of each channel that rests.
    next_sequences: HashMap<u32, Sequence>,
    /// Channels that were idle and are kept, in the order in which they became so.
    idle: VecDeque<u32>,
}

impl Resting {
    /// The state of a channel that somebody comes to.
    pub(super) fn wake(&mut self, number: u32) -> ChannelState {
        let mut state = ChannelState::default();
        if let Some(next) = self.next_sequences.remove(&number) {
            state.begin_at(next);
        }
        state
    }

    /// A channel is gone for ever.
    pub(super) fn forget(&mut self, number: u32) {
        self.next_sequences.remove(&number);
    }
}

#[cfg(test)]
impl Resting {
    /// Whether a channel rests.
    pub(super) fn rests(&self, number: u32) -> bool {
        self.next_sequences.contains_key(&number)
    }
}

impl Channel {
    /// Whether nothing would be missed of it. What measures out pushes would be: it knows when the last ones came.
    fn is_idle(&self) -> bool {
        self.state.messages_count() == 0
            && self.receivers.is_empty()
            && self.senders.is_empty()
            && self.attempts.is_empty()
            && self.rate.is_none()
            && Arc::strong_count(&self.lease_ended) == 1
    }
}

impl<L: Log> Core<L> {
    /// A channel in which nothing happens rests, once enough others do not for longer.
    pub(super) fn rest_if_idle(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.listed_as_idle || !channel.is_idle() {
            return;
        }
        channel.listed_as_idle = true;
        self.resting.idle.push_back(number);
        if self.resting.idle.len() > KEPT
            && let Some(longest) = self.resting.idle.pop_front()
        {
            self.rest(longest);
        }
    }

    /// A channel rests, unless something happened there meanwhile.
    fn rest(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.listed_as_idle = false;
        if channel.is_idle() {
            let next = channel.state.next_sequence();
            self.timers.remove(number, channel.wakes_at);
            self.channels.remove(&number);
            self.resting.next_sequences.insert(number, next);
        }
    }
}
