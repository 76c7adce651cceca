//! Leasing of the next message.

use super::{
    message::{Granted, LeaseCounts},
    state::ChannelState,
};
use crate::clock::Millis;

impl ChannelState {
    /// Decides which message a receiver gets next, under which lease.
    pub fn decide_lease(&self, ends_at: Millis, start: u64) -> Option<Granted> {
        let sequence = self.next()?;
        let message = self.message(sequence)?;
        let last = message.lease_counts.last + 1;
        let lease_counts = LeaseCounts { last, start, ..message.lease_counts };
        Some(Granted { lease_counts, ..Granted::of(sequence, &message, ends_at) })
    }
}
