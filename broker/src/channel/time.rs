//! Events of time: leases expire, delays and back-offs end, messages expire.

use restante_wire::{DeadLetterCause, channel::Expired};

use super::{
    lease::Ended,
    message::{Message, MessageState, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::Millis;

/// What an event does to its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elapsed {
    /// The message is ready: its lease expired, or its delay ended.
    Ready(MessageState),
    /// The message expired and leaves.
    Expired,
    /// The message becomes a dead letter.
    DeadLettered(MessageState),
}

impl ChannelState {
    /// The message whose event is due first, and what the event does; `None` if none is due.
    pub fn decide_event(&mut self, policy: &Policy, now: Millis) -> Option<(Sequence, Elapsed)> {
        let sequence = self.due(now)?;
        let message = self.message(sequence)?;
        Some((sequence, message.elapsed(policy, now)))
    }
}

impl Message {
    fn elapsed(&self, policy: &Policy, now: Millis) -> Elapsed {
        let dead = |cause| Elapsed::DeadLettered(self.dead_letter(cause, None, policy.dead_until(now), now));
        let was_leased = matches!(self.phase, Phase::Leased(_));
        if was_leased && self.lease_counts.deliveries() >= policy.max_deliveries {
            return dead(DeadLetterCause::MaxDeliveries);
        }
        if self.is_expired(now) {
            // A dead letter that expires leaves.
            let is_dead = matches!(self.phase, Phase::Dead(_));
            return match policy.expired {
                Expired::DeadLetter if !is_dead => dead(DeadLetterCause::Expired),
                Expired::DeadLetter | Expired::Drop => Elapsed::Expired,
            };
        }
        Elapsed::Ready(self.in_phase(match &self.phase {
            Phase::Leased(_) => Phase::Ready(Some(Ended::Expired)),
            Phase::Delayed { ended, .. } => Phase::Ready(*ended),
            // For these two, expiry is the only event.
            Phase::Ready(ended) => Phase::Ready(*ended),
            Phase::Dead(death) => Phase::Dead(death.clone()),
        }))
    }
}
