//! The status of a MessageBroker: built purely, written when it changed.

use k8s_openapi::{api::apps::v1::StatefulSet, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use restante_crds::{GROUP, MessageBroker, MessageBrokerStatus, VERSION, condition::kind};
use serde_json::json;

use super::{
    KIND,
    validate::{Broker, Rejection},
};
use crate::{
    conditions::{Assertion, conditions, transitions},
    context::Context,
    error::Error,
    events::worth_telling,
    fleet::View,
    names::FIELD_MANAGER,
};

/// The status of a MessageBroker that is served.
pub fn observed(
    broker: &MessageBroker,
    valid: &Broker,
    workload: &StatefulSet,
    view: &View,
    now: Timestamp,
) -> MessageBrokerStatus {
    let old = broker.status.clone().unwrap_or_default();
    let generation = broker.metadata.generation;
    let ready = workload.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let assertion = if ready >= valid.replicas {
        Assertion::holds(kind::READY, "Ready", format!("{ready} of {} pods are ready", valid.replicas))
    } else {
        Assertion::fails(
            kind::READY,
            "PodsNotReady",
            format!(
                "{ready} of {} pods are ready: see `kubectl describe pod -l restante.dev/broker={}`",
                valid.replicas, valid.name
            ),
        )
    };
    let number = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
    MessageBrokerStatus {
        observed_generation: generation,
        conditions: conditions(&old.conditions, generation, now, [assertion]),
        url: Some(valid.url.clone()),
        ready_replicas: Some(ready),
        // What was last heard stays until something else is heard.
        channels: number(view.channels).or(old.channels),
        orphans: number(view.orphans).or(old.orphans),
        address_revision: view.revision.clone().or(old.address_revision),
        store_id: view.store_id.map(|id| id.to_string()).or(old.store_id),
    }
}

/// The status of a MessageBroker that is not.
pub fn rejected(broker: &MessageBroker, rejection: &Rejection, now: Timestamp) -> MessageBrokerStatus {
    let old = broker.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let generation = broker.metadata.generation;
    let assertion = Assertion::fails(kind::READY, rejection.reason, rejection.message.clone());
    MessageBrokerStatus {
        observed_generation: generation,
        conditions: conditions(old, generation, now, [assertion]),
        ..MessageBrokerStatus::default()
    }
}

/// Writes the status if it says something new, and tells what turned.
pub async fn write(
    context: &Context,
    broker: &MessageBroker,
    status: MessageBrokerStatus,
) -> Result<(), Error> {
    if broker.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let api: Api<MessageBroker> =
        Api::namespaced(context.client.clone(), &broker.namespace().unwrap_or_default());
    let name = broker.name_any();
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": name, "uid": broker.metadata.uid },
        "status": status,
    });
    let written = api
        .patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))
        .await
        .map_err(Error::kube(format!("write the status of MessageBroker {name}")))?;
    context.written.record(&written.metadata);
    context.metrics.status_writes.with_label_values(&[KIND]).inc();
    let old = broker.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    for condition in transitions(old, &status.conditions) {
        if let Some(type_) = worth_telling(condition) {
            context.events.publish(broker, type_, &condition.reason, condition.message.clone()).await;
        }
    }
    Ok(())
}
