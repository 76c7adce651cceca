//! What follows when a message is not leased any more, or has left its channel.

use super::Core;
use crate::{
    channel::{Message, Sequence},
    log::{Log, Position},
};

impl<L: Log> Core<L> {
    /// A message left its channel: its content is needed no longer, and there is room for another.
    pub(super) fn forget(&mut self, number: u32, sequence: Sequence, message: &Message) {
        self.contents.remove(number, sequence);
        self.release_position(message.stored.position);
        if let Some(state_at) = message.state_at {
            self.log.release(state_at);
        }
        self.lease_ended(number, sequence);
        if let Some(channel) = self.channels.get(&number) {
            channel.senders.wake();
        }
    }

    /// A message is not leased any more; or never was.
    pub(super) fn lease_ended(&mut self, number: u32, sequence: Sequence) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.attempts.lost(sequence);
            channel.lease_ended.notify_waiters();
        }
    }

    /// A channel needs a content no longer.
    pub(super) fn release_position(&mut self, position: Position) {
        if self.shared.release(position) {
            self.log.release(position);
        }
    }

    /// Shows other threads what a channel holds now, and sees to it that it wakes in time.
    pub(super) fn touch(&mut self, number: u32) {
        self.promise_for(number);
        let Some(channel) = self.channels.get(&number) else { return };
        channel.publish();
        if let Some(at) = channel.state.next_event() {
            self.wake_at(number, at);
        }
        self.rest_if_idle(number);
    }

    /// A channel wakes at this time at the latest.
    pub(super) fn wake_at(&mut self, number: u32, at: crate::clock::Millis) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.wakes_at.is_none_or(|before| at < before) {
            let before = channel.wakes_at.replace(at);
            if self.timers.set(number, before, at) {
                self.wakers.timer.notify_one();
            }
        }
    }
}
