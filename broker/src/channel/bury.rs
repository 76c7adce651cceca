//! Given up: a message becomes a dead letter, here or in another channel.

use restante_wire::DeadLetterCause;

use super::{
    message::{Death, Message, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::Millis;

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buried {
    /// It stays in its channel, dead.
    Here(Sequence),
    /// It has left its channel for another one.
    Left(Sequence, Message, Death),
}

impl ChannelState {
    /// Gives a message up.
    pub(super) fn bury(
        &mut self,
        sequence: Sequence,
        cause: DeadLetterCause,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) -> Option<Buried> {
        let death = Death { cause, since: now, reason: reason.map(Into::into) };
        if policy.dead_leave {
            let message = self.remove(sequence)?;
            return Some(Buried::Left(sequence, message, death));
        }
        self.change(sequence, |message| {
            message.expires_at = policy.dead_for.map(|dead_for| now + dead_for);
            message.phase = Phase::Dead(death);
        })?;
        Some(Buried::Here(sequence))
    }
}
