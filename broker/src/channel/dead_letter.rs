//! Dead letters: a channel keeps a dead letter until it is redriven, moved or purged.

use restante_wire::DeadLetterCause;

use super::{
    message::{DeadLetter, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

impl ChannelState {
    /// Makes an unreadable message a dead letter that never expires: an acknowledged message must not be dropped
    /// because a disk fails.
    pub fn mark_unreadable(&mut self, sequence: Sequence, reason: &str, now: Millis) {
        self.change(sequence, |message| {
            let (cause, reason) = (DeadLetterCause::Unreadable, Some(reason.into()));
            message.expires_at = None;
            message.phase = Phase::Dead(DeadLetter { cause, since: now, reason });
        });
    }

    /// Makes a message a dead letter.
    pub(super) fn make_dead_letter(
        &mut self,
        sequence: Sequence,
        cause: DeadLetterCause,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) {
        self.change(sequence, |message| {
            message.expires_at = policy.dead_for.map(|dead_for| after(now, dead_for));
            message.phase = Phase::Dead(DeadLetter { cause, since: now, reason: reason.map(Into::into) });
        });
    }
}
