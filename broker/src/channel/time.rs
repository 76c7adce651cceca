//! Events of time: leases expire, delays and back-offs end, messages expire.

use restante_wire::{DeadLetterCause, channel::Expired};

use super::{
    lease::Ended,
    message::{Message, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::Millis;

/// Outcome of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elapsed {
    /// The message is ready: its lease expired, or its delay ended.
    Ready(Sequence),
    /// The message expired and has left.
    Expired(Sequence, Message),
    /// The message became a dead letter.
    DeadLettered(Sequence),
}

impl ChannelState {
    /// Processes the earliest event that is due; `None` if there is none.
    pub fn elapse(&mut self, policy: &Policy, now: Millis) -> Option<Elapsed> {
        let sequence = self.due(now)?;
        let message = self.message(sequence)?;
        let was_leased = matches!(message.phase, Phase::Leased(_));
        let (deliveries, is_expired) = (message.lease_counts.deliveries(), message.is_expired(now));
        if was_leased && deliveries >= policy.max_deliveries {
            self.make_dead_letter(sequence, DeadLetterCause::MaxDeliveries, None, policy, now);
            return Some(Elapsed::DeadLettered(sequence));
        }
        if is_expired {
            return self.expire(sequence, policy, now);
        }
        self.change(sequence, |message| {
            message.phase = match message.phase {
                Phase::Leased(_) => Phase::Ready(Some(Ended::Expired)),
                Phase::Delayed { ended, .. } => Phase::Ready(ended),
                // For these two, expiry is the only event.
                Phase::Ready(ended) => Phase::Ready(ended),
                Phase::Dead(ref death) => Phase::Dead(death.clone()),
            };
        })?;
        Some(Elapsed::Ready(sequence))
    }

    /// Expires a message. A dead letter that expires leaves.
    fn expire(&mut self, sequence: Sequence, policy: &Policy, now: Millis) -> Option<Elapsed> {
        let dead = matches!(self.message(sequence)?.phase, Phase::Dead(_));
        if policy.expired == Expired::DeadLetter && !dead {
            self.make_dead_letter(sequence, DeadLetterCause::Expired, None, policy, now);
            return Some(Elapsed::DeadLettered(sequence));
        }
        self.remove(sequence).map(|message| Elapsed::Expired(sequence, message))
    }
}
