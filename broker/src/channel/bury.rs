//! Given up: a message becomes a dead letter. Its channel keeps it until it is redriven, moved or purged.

use restante_wire::DeadLetterCause;

use super::{
    message::{Death, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

impl ChannelState {
    /// Gives a message up.
    pub(super) fn bury(
        &mut self,
        sequence: Sequence,
        cause: DeadLetterCause,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) {
        self.change(sequence, |message| {
            message.expires_at = policy.dead_for.map(|dead_for| after(now, dead_for));
            message.phase = Phase::Dead(Death { cause, since: now, reason: reason.map(Into::into) });
        });
    }
}
