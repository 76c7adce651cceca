//! What a receiver says of its lease: the table of states of the HTTP contract, section *Settle*.

use std::borrow::Cow;

use restante_wire::DeadLetterCause;

use super::{
    lease::{Claim, Ended, Refusal},
    message::{Granted, Message, Phase},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

/// What became of a message that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It is ready, or is when its back-off is over.
    Back,
    /// It was delivered as often as it may be.
    Buried,
    /// This very lease gave it back before.
    Before,
}

impl ChannelState {
    /// The receiver is done: the message leaves the channel. `None` when it was gone already, which is as good.
    pub fn settle(&mut self, claim: Claim, now: Millis) -> Result<Option<Message>, Refusal> {
        match self.held(claim, now) {
            Ok(_) => Ok(self.remove(claim.sequence)),
            Err(Refusal::Settled) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The receiver gives the message up. False when it was gone already, which is as good.
    pub fn reject(
        &mut self,
        claim: Claim,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) -> Result<bool, Refusal> {
        match self.held(claim, now) {
            Ok(_) => {
                self.bury(claim.sequence, DeadLetterCause::Rejected, reason, policy, now);
                Ok(true)
            }
            Err(Refusal::Settled) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// The receiver gives the message back: for now, or after `delay`, or after the channel's back-off. A hand-out that
    /// is not `counted` is no delivery.
    pub fn release(
        &mut self,
        claim: Claim,
        counted: bool,
        delay: Option<Millis>,
        policy: &Policy,
        now: Millis,
    ) -> Result<Released, Refusal> {
        let deliveries = match self.held(claim, now) {
            Ok(message) => message.handouts.deliveries() - u32::from(!counted),
            Err(Refusal::Released) => return Ok(Released::Before),
            Err(refusal) => return Err(refusal),
        };
        if counted && deliveries >= policy.max_deliveries {
            self.bury(claim.sequence, DeadLetterCause::MaxDeliveries, None, policy, now);
            return Ok(Released::Buried);
        }
        // What was no delivery is no reason to wait.
        let back_off = if counted { policy.backoff.seconds(deliveries) } else { 0 };
        let pause = delay.unwrap_or(Millis::from(back_off) * 1000);
        self.change(claim.sequence, |message| {
            message.handouts.uncounted += u32::from(!counted);
            let ended = Some(Ended::Released);
            message.phase = if pause == 0 {
                Phase::Ready(ended)
            } else {
                Phase::Delayed { until: after(now, pause), ended }
            };
        });
        Ok(Released::Back)
    }

    /// The receiver wants the message until `ends_at`.
    pub fn renew(&mut self, claim: Claim, ends_at: Millis, now: Millis) -> Result<Granted, Refusal> {
        self.held(claim, now)?;
        let renewed = self.change(claim.sequence, |message| {
            message.phase = Phase::Leased(ends_at);
            Granted::of(claim.sequence, message, ends_at)
        });
        renewed.ok_or(Refusal::Settled)
    }

    /// The message that a claim is good for.
    fn held(&self, claim: Claim, now: Millis) -> Result<Cow<'_, Message>, Refusal> {
        let Some(message) = self.message(claim.sequence) else { return Err(Refusal::Settled) };
        if claim.handout > message.handouts.last {
            // A power cut may forget the lease records of the last second: the lease is over, and nobody has it since.
            return Err(Refusal::Expired);
        }
        if claim.handout != message.handouts.last || claim.start != message.handouts.start {
            return Err(Refusal::Superseded);
        }
        match &message.phase {
            Phase::Leased(until) if *until > now => Ok(message),
            // Its end is about to be noticed.
            Phase::Leased(_) => Err(Refusal::Expired),
            Phase::Ready(Some(Ended::Released)) | Phase::Delayed { ended: Some(Ended::Released), .. } => {
                Err(Refusal::Released)
            }
            Phase::Ready(_) | Phase::Delayed { .. } => Err(Refusal::Expired),
            // A dead letter is gone, for whoever gave it up; its last lease may have ended otherwise as well.
            Phase::Dead(death) if death.cause == DeadLetterCause::Rejected => Err(Refusal::Settled),
            Phase::Dead(_) => Err(Refusal::Expired),
        }
    }
}
