//! Given up: a message becomes a dead letter. Its channel keeps it until it is redriven, moved or purged.

use restante_wire::DeadLetterCause;

use super::{
    message::{Death, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

impl ChannelState {
    /// Gives up a message that cannot be read. It stays until somebody sees to it: what was acknowledged is not dropped because
    /// a disk fails.
    pub fn set_aside(&mut self, sequence: Sequence, reason: &str, now: Millis) {
        self.change(sequence, |message| {
            let (cause, reason) = (DeadLetterCause::Unreadable, Some(reason.into()));
            message.expires_at = None;
            message.phase = Phase::Dead(Death { cause, since: now, reason });
        });
    }

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
