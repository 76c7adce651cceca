//! Dead letters: a channel keeps a dead letter until it is redriven, moved or purged.

use restante_wire::DeadLetterCause;

use super::{
    message::{DeadLetter, Message, MessageState, Phase, Sequence},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

impl Policy {
    /// When a dead letter of now expires.
    pub(super) fn dead_until(&self, now: Millis) -> Option<Millis> {
        self.dead_for.map(|dead_for| after(now, dead_for))
    }
}

impl Message {
    /// The message as a dead letter.
    pub(super) fn dead_letter(
        &self,
        cause: DeadLetterCause,
        reason: Option<&str>,
        expires_at: Option<Millis>,
        now: Millis,
    ) -> MessageState {
        let phase = Phase::Dead(DeadLetter { cause, since: now, reason: reason.map(Into::into) });
        MessageState { expires_at, ..self.in_phase(phase) }
    }
}

impl ChannelState {
    /// An unreadable message as a dead letter, which never expires: an acknowledged message must not be dropped because
    /// a disk fails.
    pub fn decide_unreadable(&self, sequence: Sequence, reason: &str, now: Millis) -> Option<MessageState> {
        let message = self.message(sequence)?;
        Some(message.dead_letter(DeadLetterCause::Unreadable, Some(reason), None, now))
    }

    /// A dead letter as a ready message that was never delivered; `None` if it is not a dead letter.
    pub fn decide_redrive(&self, sequence: Sequence, expires_at: Option<Millis>) -> Option<MessageState> {
        let message = self.message(sequence)?;
        if !matches!(message.phase, Phase::Dead(_)) {
            return None;
        }
        let mut to = MessageState { expires_at, ..message.in_phase(Phase::Ready(None)) };
        to.lease_counts.uncounted = to.lease_counts.last;
        Some(to)
    }
}
