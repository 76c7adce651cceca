//! Lease operations: the table of states of the HTTP contract, section *Settle*.

use std::borrow::Cow;

use restante_wire::DeadLetterCause;

use super::{
    lease::{Claim, Ended, Refusal},
    message::{Granted, Message, MessageState, Phase},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

/// What a release does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// The message is ready, or will be after its back-off.
    Requeued(MessageState),
    /// The message reached the limit of deliveries and is a dead letter.
    DeadLettered(MessageState),
    /// This lease was released before.
    Repeated,
}

impl ChannelState {
    /// Whether a settle makes the message leave; it does not if the message has left already, which counts as success.
    pub fn decide_settle(&self, claim: Claim, now: Millis) -> Result<bool, Refusal> {
        match self.claimed(claim, now) {
            Ok(_) => Ok(true),
            Err(Refusal::Settled) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// The dead letter that a reject makes of the message; `None` if it has left already, which counts as success.
    pub fn decide_reject(
        &self,
        claim: Claim,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) -> Result<Option<MessageState>, Refusal> {
        match self.claimed(claim, now) {
            Ok(message) => {
                Ok(Some(message.dead_letter(DeadLetterCause::Rejected, reason, policy.dead_until(now), now)))
            }
            Err(Refusal::Settled) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What a release does: the message is ready after `delay`, or else after the channel's back-off. A lease that is
    /// not `counted` is not a delivery.
    pub fn decide_release(
        &self,
        claim: Claim,
        counted: bool,
        delay: Option<Millis>,
        policy: &Policy,
        now: Millis,
    ) -> Result<Released, Refusal> {
        let message = match self.claimed(claim, now) {
            Ok(message) => message,
            Err(Refusal::Released) => return Ok(Released::Repeated),
            Err(refusal) => return Err(refusal),
        };
        let deliveries = message.lease_counts.deliveries() - u32::from(!counted);
        if counted && deliveries >= policy.max_deliveries {
            let dead = message.dead_letter(DeadLetterCause::MaxDeliveries, None, policy.dead_until(now), now);
            return Ok(Released::DeadLettered(dead));
        }
        // A lease that was not a delivery needs no back-off.
        let back_off = if counted { policy.backoff.seconds(deliveries) } else { 0 };
        let pause = delay.unwrap_or(Millis::from(back_off) * 1000);
        let ended = Some(Ended::Released);
        let mut to = message.in_phase(if pause == 0 {
            Phase::Ready(ended)
        } else {
            Phase::Delayed { until: after(now, pause), ended }
        });
        to.lease_counts.uncounted += u32::from(!counted);
        Ok(Released::Requeued(to))
    }

    /// The lease that a renewal extends until `ends_at`.
    pub fn decide_renewal(&self, claim: Claim, ends_at: Millis, now: Millis) -> Result<Granted, Refusal> {
        self.claimed(claim, now).map(|message| Granted::of(claim.sequence, &message, ends_at))
    }

    /// The message of a valid claim.
    fn claimed(&self, claim: Claim, now: Millis) -> Result<Cow<'_, Message>, Refusal> {
        let Some(message) = self.message(claim.sequence) else { return Err(Refusal::Settled) };
        if claim.lease_number > message.lease_counts.last {
            // A power cut may lose the lease records of the last second: this lease has ended, and no other followed.
            return Err(Refusal::Expired);
        }
        if claim.lease_number != message.lease_counts.last || claim.start != message.lease_counts.start {
            return Err(Refusal::Superseded);
        }
        match &message.phase {
            Phase::Leased(until) if *until > now => Ok(message),
            // The end is about to be processed.
            Phase::Leased(_) => Err(Refusal::Expired),
            Phase::Ready(Some(Ended::Released)) | Phase::Delayed { ended: Some(Ended::Released), .. } => {
                Err(Refusal::Released)
            }
            Phase::Ready(_) | Phase::Delayed { .. } => Err(Refusal::Expired),
            // A rejected message counts as gone; any other dead letter means that its last lease expired.
            Phase::Dead(death) if death.cause == DeadLetterCause::Rejected => Err(Refusal::Settled),
            Phase::Dead(_) => Err(Refusal::Expired),
        }
    }
}
