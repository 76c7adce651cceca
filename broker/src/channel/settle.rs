//! Lease operations: the table of states of the HTTP contract, section *Settle*.

use std::borrow::Cow;

use restante_wire::DeadLetterCause;

use super::{
    lease::{Claim, Ended, Refusal},
    message::{Granted, Message, Phase},
    policy::Policy,
    state::ChannelState,
};
use crate::clock::{Millis, after};

/// Outcome of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// The message is ready, or will be after its back-off.
    Requeued,
    /// The message reached the limit of deliveries and is a dead letter.
    DeadLettered,
    /// This lease was released before.
    Repeated,
}

impl ChannelState {
    /// Settles a message, which leaves the channel. `None` if it has left already, which counts as success.
    pub fn settle(&mut self, claim: Claim, now: Millis) -> Result<Option<Message>, Refusal> {
        match self.claimed(claim, now) {
            Ok(_) => Ok(self.remove(claim.sequence)),
            Err(Refusal::Settled) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Rejects a message, which becomes a dead letter. False if it has left already, which counts as success.
    pub fn reject(
        &mut self,
        claim: Claim,
        reason: Option<&str>,
        policy: &Policy,
        now: Millis,
    ) -> Result<bool, Refusal> {
        match self.claimed(claim, now) {
            Ok(_) => {
                self.make_dead_letter(claim.sequence, DeadLetterCause::Rejected, reason, policy, now);
                Ok(true)
            }
            Err(Refusal::Settled) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Releases a message: ready after `delay`, or else after the channel's back-off. A lease that is not `counted` is
    /// not a delivery.
    pub fn release(
        &mut self,
        claim: Claim,
        counted: bool,
        delay: Option<Millis>,
        policy: &Policy,
        now: Millis,
    ) -> Result<Released, Refusal> {
        let deliveries = match self.claimed(claim, now) {
            Ok(message) => message.lease_counts.deliveries() - u32::from(!counted),
            Err(Refusal::Released) => return Ok(Released::Repeated),
            Err(refusal) => return Err(refusal),
        };
        if counted && deliveries >= policy.max_deliveries {
            self.make_dead_letter(claim.sequence, DeadLetterCause::MaxDeliveries, None, policy, now);
            return Ok(Released::DeadLettered);
        }
        // A lease that was not a delivery needs no back-off.
        let back_off = if counted { policy.backoff.seconds(deliveries) } else { 0 };
        let pause = delay.unwrap_or(Millis::from(back_off) * 1000);
        self.change(claim.sequence, |message| {
            message.lease_counts.uncounted += u32::from(!counted);
            let ended = Some(Ended::Released);
            message.phase = if pause == 0 {
                Phase::Ready(ended)
            } else {
                Phase::Delayed { until: after(now, pause), ended }
            };
        });
        Ok(Released::Requeued)
    }

    /// Extends a lease until `ends_at`.
    pub fn renew(&mut self, claim: Claim, ends_at: Millis, now: Millis) -> Result<Granted, Refusal> {
        self.claimed(claim, now)?;
        let renewed = self.change(claim.sequence, |message| {
            message.phase = Phase::Leased(ends_at);
            Granted::of(claim.sequence, message, ends_at)
        });
        renewed.ok_or(Refusal::Settled)
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
