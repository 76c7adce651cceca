//! Out of the line: a message goes to a receiver.

use super::{
    message::{Granted, Phase},
    state::ChannelState,
};
use crate::clock::Millis;

impl ChannelState {
    /// The next message goes to a receiver.
    pub fn lease_next(&mut self, ends_at: Millis, start: u64) -> Option<Granted> {
        let sequence = self.next()?;
        self.change(sequence, |message| {
            message.handouts.last += 1;
            message.handouts.start = start;
            message.phase = Phase::Leased(ends_at);
            Granted::of(sequence, message, ends_at)
        })
    }
}
