//! Decisions that are applied at once, as the shard does after it recorded them.

use super::super::{
    ChannelState, Claim, Elapsed as Decided, Granted, Message, Policy, Refusal, Released as Release, Sequence,
};
use crate::clock::Millis;

/// Outcome of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Released {
    Requeued,
    DeadLettered,
    Repeated,
}

/// Outcome of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Elapsed {
    Ready(Sequence),
    Expired(Sequence, Message),
    DeadLettered(Sequence),
}

impl ChannelState {
    pub(super) fn store(&mut self, message: Message) -> Sequence {
        let sequence = self.next_sequence();
        self.insert(sequence, message);
        sequence
    }

    /// Adds a message that a replay found. Returns the one that was there.
    pub(super) fn restore(&mut self, sequence: Sequence, message: Message) -> Option<Message> {
        let older = self.remove(sequence);
        self.insert(sequence, message);
        older
    }

    pub(super) fn lease_next(&mut self, ends_at: Millis, start: u64) -> Option<Granted> {
        let granted = self.decide_lease(ends_at, start)?;
        self.apply(granted.sequence, granted.state(), None).unwrap();
        Some(granted)
    }

    pub(super) fn settle(&mut self, claim: Claim, now: Millis) -> Result<Option<Message>, Refusal> {
        Ok(if self.decide_settle(claim, now)? { self.remove(claim.sequence) } else { None })
    }

    pub(super) fn reject(
        &mut self,
        claim: Claim,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) -> Result<bool, Refusal> {
        let Some(to) = self.decide_reject(claim, reason, policy, now)? else { return Ok(false) };
        self.apply(claim.sequence, to, None).unwrap();
        Ok(true)
    }

    pub(super) fn release(
        &mut self,
        claim: Claim,
        counted: bool,
        delay: Option<Millis>,
        policy: &Policy,
        now: Millis,
    ) -> Result<Released, Refusal> {
        let (to, released) = match self.decide_release(claim, counted, delay, policy, now)? {
            Release::Requeued(to) => (to, Released::Requeued),
            Release::DeadLettered(to) => (to, Released::DeadLettered),
            Release::Repeated => return Ok(Released::Repeated),
        };
        self.apply(claim.sequence, to, None).unwrap();
        Ok(released)
    }

    pub(super) fn renew(&mut self, claim: Claim, ends_at: Millis, now: Millis) -> Result<Granted, Refusal> {
        let granted = self.decide_renewal(claim, ends_at, now)?;
        self.apply(claim.sequence, granted.state(), None).unwrap();
        Ok(granted)
    }

    pub(super) fn redrive(&mut self, sequence: Sequence, expires_at: Option<Millis>) -> bool {
        let to = self.decide_redrive(sequence, expires_at);
        to.map(|to| self.apply(sequence, to, None).unwrap()).is_some()
    }

    pub(super) fn elapse(&mut self, policy: &Policy, now: Millis) -> Option<Elapsed> {
        let (sequence, elapsed) = self.decide_event(policy, now)?;
        let (to, elapsed) = match elapsed {
            Decided::Expired => return Some(Elapsed::Expired(sequence, self.remove(sequence).unwrap())),
            Decided::Ready(to) => (to, Elapsed::Ready(sequence)),
            Decided::DeadLettered(to) => (to, Elapsed::DeadLettered(sequence)),
        };
        self.apply(sequence, to, None).unwrap();
        Some(elapsed)
    }
}
