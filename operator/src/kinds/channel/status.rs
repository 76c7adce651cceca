//! Writes the status of a MessageChannel if it changed, and publishes events for the transitions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use restante_crds::{
    GROUP, MessageChannel, MessageChannelStatus, VERSION,
    condition::{self, kind},
};
use serde_json::json;

use super::{KIND, blocker, build::BROKER_NOT_READY};
use crate::{
    context::Context,
    names::FIELD_MANAGER,
    shared::{
        conditions::transitions,
        error::Error,
        events::{channel_reference, event_type},
    },
};

/// The operator's part of the status. Conditions of other managers are neither compared nor written.
pub fn own(channel: &MessageChannel) -> MessageChannelStatus {
    let status = channel.status.clone().unwrap_or_default();
    MessageChannelStatus {
        conditions: condition::of_kinds(&status.conditions, kind::OF_MESSAGE_CHANNEL),
        ..status
    }
}

/// Applies the status, and returns the new metadata.
pub async fn apply(
    client: &Client,
    channel: &MessageChannel,
    status: &MessageChannelStatus,
) -> Result<ObjectMeta, Error> {
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    let api: Api<MessageChannel> = Api::namespaced(client.clone(), &namespace);
    // With the UID, a channel that was recreated under the same name does not get the old channel's status.
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": name, "uid": channel.metadata.uid },
        "status": status,
    });
    let written = api
        .patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))
        .await
        .map_err(Error::kube(format!("write the status of MessageChannel {namespace}/{name}")))?;
    Ok(written.metadata)
}

/// Writes the status if it changed, and returns the new metadata. `other` is the related channel, as `namespace/name`.
pub async fn write(
    context: &Context,
    channel: &MessageChannel,
    status: MessageChannelStatus,
    other: Option<&str>,
) -> Result<ObjectMeta, Error> {
    let old = own(channel);
    if old == status {
        return Ok(channel.metadata.clone());
    }
    let written = apply(&context.client, channel, &status).await?;
    context.last_writes.record(&written);
    context.metrics.status_writes.with_label_values(&[KIND]).inc();
    for condition in transitions(&old.conditions, &status.conditions) {
        let Some(type_) = event_type(condition) else { continue };
        if condition.type_ == kind::READY && condition.status == "True" && is_back(&old.conditions) {
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
    Ok(written)
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
