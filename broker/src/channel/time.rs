//! What time does: leases end, delays and back-offs are over, messages expire.

use restante_wire::{DeadLetterCause, channel::Expired};

use super::{
    lease::Ended,
    message::{Message, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::Millis;

/// What time did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elapsed {
    /// A message is ready: its lease ended, or its delay is over.
    Ready(Sequence),
    /// A message is gone: its time was over.
    Expired(Sequence, Message),
    /// A message was given up.
    Buried(Sequence),
}

impl ChannelState {
    /// Does one thing that time has brought about by now, the earliest first; nothing when there is none.
    pub fn elapse(&mut self, policy: &Policy, now: Millis) -> Option<Elapsed> {
        let sequence = self.due(now)?;
        let message = self.message(sequence)?;
        let was_leased = matches!(message.phase, Phase::Leased(_));
        let (deliveries, is_expired) = (message.handouts.deliveries(), message.is_expired(now));
        if was_leased && deliveries >= policy.max_deliveries {
            self.bury(sequence, DeadLetterCause::MaxDeliveries, None, policy, now);
            return Some(Elapsed::Buried(sequence));
        }
        if is_expired {
            return self.expire(sequence, policy, now);
        }
        self.change(sequence, |message| {
            message.phase = match message.phase {
                Phase::Leased(_) => Phase::Ready(Some(Ended::Expired)),
                Phase::Delayed { ended, .. } => Phase::Ready(ended),
                // Time does nothing else to these than to end them.
                Phase::Ready(ended) => Phase::Ready(ended),
                Phase::Dead(ref death) => Phase::Dead(death.clone()),
            };
        })?;
        Some(Elapsed::Ready(sequence))
    }

    /// A message's time is over. A dead letter's as well: then it is gone.
    fn expire(&mut self, sequence: Sequence, policy: &Policy, now: Millis) -> Option<Elapsed> {
        let dead = matches!(self.message(sequence)?.phase, Phase::Dead(_));
        if policy.expired == Expired::DeadLetter && !dead {
            self.bury(sequence, DeadLetterCause::Expired, None, policy, now);
            return Some(Elapsed::Buried(sequence));
        }
        self.remove(sequence).map(|message| Elapsed::Expired(sequence, message))
    }
}
