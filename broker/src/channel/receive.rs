//! Leasing of the next message.

use super::{
    message::{Granted, Phase},
    state::ChannelState,
};
use crate::clock::Millis;

impl ChannelState {
    /// Leases the next message to a receiver.
    pub fn lease_next(&mut self, ends_at: Millis, start: u64) -> Option<Granted> {
        let sequence = self.next()?;
        self.change(sequence, |message| {
            message.lease_counts.last += 1;
            message.lease_counts.start = start;
            message.phase = Phase::Leased(ends_at);
            Granted::of(sequence, message, ends_at)
        })
    }
}
