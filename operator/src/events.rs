//! Events: what `kubectl describe` shows of changes.

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use restante_crds::condition::kind;

use crate::names::CONTROLLER;

/// The one recorder of the process.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// A recorder that reports as the operator.
    pub fn new(client: Client) -> Self {
        Self(Recorder::new(client, Reporter { controller: CONTROLLER.into(), instance: None }))
    }

    /// Publishes an event about an object. Never fails a reconcile: an event that is lost is only logged.
    pub async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        self.publish_to(&object.object_ref(&()), type_, reason, note).await;
    }

    /// Publishes an event about a reference to an object.
    pub async fn publish_to(&self, object: &ObjectReference, type_: EventType, reason: &str, note: String) {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(shorten(note)),
            action: "Reconcile".into(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, object).await {
            tracing::debug!(%error, reason, object = ?object.name, "an event was lost");
        }
    }
}

/// Whether a transition to this condition is worth an event, and of which type. Three conditions that turn true together
/// are one event, Ready.
pub fn worth_telling(condition: &Condition) -> Option<EventType> {
    match (condition.type_.as_str(), condition.status.as_str()) {
        (kind::READY, "True") => Some(EventType::Normal),
        (kind::ACCEPTED, "False") | (kind::DELETION_BLOCKED, "True") => Some(EventType::Warning),
        // Programmed follows Accepted; by itself it is news.
        (kind::PROGRAMMED, "False") if condition.reason != "NotAccepted" => Some(EventType::Warning),
        _ => None,
    }
}

/// An event's note may have 1024 bytes (events.k8s.io/v1).
fn shorten(mut note: String) -> String {
    const NOTE_BYTES_MAX: usize = 1024;
    if note.len() > NOTE_BYTES_MAX {
        let end = (0..=NOTE_BYTES_MAX).rev().find(|&index| note.is_char_boundary(index)).unwrap_or_default();
        note.truncate(end);
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        let cut = shorten("é".repeat(600));
        assert_eq!(cut.len(), 1024);
        assert_eq!(shorten("é".repeat(512) + "e").len(), 1024);
        assert_eq!(shorten("short".into()), "short");
    }
}
