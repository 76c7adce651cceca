//! Writes the status of a MessageChannel when it changed, and tells what turned.

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use restante_crds::{GROUP, MessageChannel, MessageChannelStatus, VERSION};
use serde_json::json;

use super::KIND;
use crate::{
    conditions::transitions, context::Context, error::Error, events::worth_telling, names::FIELD_MANAGER,
};

/// Writes the status if it says something new.
pub async fn write(
    context: &Context,
    channel: &MessageChannel,
    status: MessageChannelStatus,
) -> Result<(), Error> {
    if channel.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let (name, namespace) = (channel.name_any(), channel.namespace().unwrap_or_default());
    let api: Api<MessageChannel> = Api::namespaced(context.client.clone(), &namespace);
    // The UID, so that a channel that was made anew under the same name does not get the old one's status.
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
    context.written.record(&written.metadata);
    context.metrics.status_writes.with_label_values(&[KIND]).inc();
    let old = channel.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    for condition in transitions(old, &status.conditions) {
        if let Some(type_) = worth_telling(condition) {
            context.events.publish(channel, type_, &condition.reason, condition.message.clone()).await;
        }
    }
    Ok(())
}
