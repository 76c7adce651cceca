//! Writes the status of a MessageChannel if it changed, and publishes events for the transitions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::Resource;
use restante_crds::{
    MessageChannel, MessageChannelStatus,
    condition::{self, kind},
};

use super::{
    blocker,
    build::BROKER_NOT_READY,
    events::{channel_reference, event_type},
};
use crate::{
    context::Context,
    shared::{conditions::transitions, error::Error},
};

/// Writes the status if it changed, and returns the new metadata. `other` is the related channel, as `namespace/name`.
pub async fn write(
    context: &Context,
    channel: &MessageChannel,
    status: MessageChannelStatus,
    other: Option<&str>,
) -> Result<ObjectMeta, Error> {
    let Some(written) = crate::reconcile::status::write(context, channel, &status).await? else {
        return Ok(channel.metadata.clone());
    };
    for condition in transitions(&written.before.conditions, &status.conditions) {
        let Some(type_) = event_type(condition) else { continue };
        if condition.type_ == kind::READY && condition.status == "True" && is_back(&written.before.conditions)
        {
            continue;
        }
        let note = match condition.type_.as_str() {
            // The message of the condition contains counts.
            kind::DELETION_BLOCKED => blocker::note(&condition.reason).to_owned(),
            _ => condition.message.clone(),
        };
        let other = other.filter(|_| condition.status == "False").map(channel_reference);
        let reference = channel.object_ref(&());
        context.events.publish_about(&reference, type_, &condition.reason, note, other).await;
    }
    Ok(written.metadata)
}

/// Whether the channel only waited for the return of its broker. The return is one event of the MessageBroker, and not
/// one of each of its 10,000 channels.
fn is_back(old: &[Condition]) -> bool {
    let [ready, programmed] = [kind::READY, kind::PROGRAMMED].map(|kind| condition::find(old, kind));
    ready.zip(programmed).is_some_and(|(ready, programmed)| {
        ready.reason == BROKER_NOT_READY
            && programmed.status == "True"
            && programmed.last_transition_time.0 < ready.last_transition_time.0
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::shared::conditions::{Assertion, conditions};

    #[test]
    fn channels_publish_an_event_for_the_first_ready_but_not_for_the_return_of_their_broker() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let programmed = Assertion::holds(kind::PROGRAMMED, "Programmed", "");
        let waits = Assertion::fails(kind::READY, BROKER_NOT_READY, "");
        let new = conditions(&[], None, at(10), [programmed.clone(), waits.clone()]);
        assert!(!is_back(&new));
        let ready = Assertion::holds(kind::READY, "Ready", "");
        let served = conditions(&new, None, at(12), [programmed.clone(), ready]);
        assert!(!is_back(&served));
        assert!(is_back(&conditions(&served, None, at(90), [programmed, waits])));
    }
}
