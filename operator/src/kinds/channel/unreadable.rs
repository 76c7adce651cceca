//! A MessageChannel that this version cannot read: reports that in the status, and never blocks the deletion.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    core::error_boundary::InvalidObject,
    runtime::{controller::Action, events::EventType, reflector::ObjectRef},
};
use restante_crds::{MessageChannel, condition::kind};

use super::remove_finalizer;
use crate::{
    context::Context,
    ownership::Claims,
    reconcile::unreadable::{self, Unreadable},
    shared::error::Error,
};

/// The conditions that become False, because the broker's task ignores an unreadable channel.
const FAILS: &[&str] = &[kind::ACCEPTED, kind::PROGRAMMED, kind::READY];

pub(super) async fn reconcile(context: &Context, invalid: &InvalidObject) -> Result<Action, Error> {
    let metadata = &invalid.metadata;
    if metadata.deletion_timestamp.is_none() {
        let unreadable = Unreadable { invalid, fails: FAILS };
        unreadable::report::<MessageChannel>(context, unreadable, |channel| {
            let named = channel.data["spec"]["brokerRef"]["namespace"].as_str();
            let broker = channel.data["status"]["broker"].as_str();
            context.ownership.is_ours(Claims { named, metadata, broker })
        })
        .await?;
        return Ok(Action::await_change());
    }
    // The deletion of an unreadable object must not wait forever. Its messages become an orphan at the broker.
    if context.ownership.is_held(metadata) {
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let mut channel: ObjectReference = ObjectRef::<MessageChannel>::new(name).within(namespace).into();
        channel.uid.clone_from(&metadata.uid);
        let note = "released, because this version of the operator cannot read the resource; its messages stay at the broker \
                    as an orphan";
        tracing::warn!(channel = name, namespace, error = invalid.error, "{note}");
        context.events.publish_about(&channel, EventType::Warning, "Orphaned", note.into(), None).await;
        remove_finalizer(context, metadata).await?;
    }
    Ok(Action::await_change())
}
