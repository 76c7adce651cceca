//! Events of MessageChannels. Pure.

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::runtime::{events::EventType, reflector::ObjectRef};
use restante_crds::{MessageChannel, condition::kind};

use super::blocked::DELETING;

/// A reference to a MessageChannel by `namespace/name`, without a UID.
pub(super) fn channel_reference(qualified_name: &str) -> ObjectReference {
    let (namespace, name) = qualified_name.split_once('/').unwrap_or(("", qualified_name));
    let channel: ObjectReference = ObjectRef::<MessageChannel>::new(name).within(namespace).into();
    channel
}

/// The type of the event for a transition to this condition, or `None` for no event. When several conditions become
/// True together, only Ready has an event.
pub(super) fn event_type(condition: &Condition) -> Option<EventType> {
    match (condition.type_.as_str(), condition.status.as_str()) {
        // DeletionBlocked has an event of its own.
        (kind::READY, "True") => (condition.reason != DELETING).then_some(EventType::Normal),
        (kind::ACCEPTED, "False") | (kind::DELETION_BLOCKED, "True") => Some(EventType::Warning),
        // Without an event only if Accepted or the deletion is the cause.
        (kind::PROGRAMMED, "False") if !["NotAccepted", DELETING].contains(&condition.reason.as_str()) => {
            Some(EventType::Warning)
        }
        _ => None,
    }
}
