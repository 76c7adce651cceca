//! Kubernetes Events, as shown by `kubectl describe`.
//!
//! The recorder merges two events with the same object, type and reason into one, which keeps the note of the first.
//! Events about different objects, such as two winners of conflicts, name that object in `related`, which keeps them
//! separate. A note contains no counts, because they would soon be outdated.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::names::CONTROLLER;

/// The recorder of the process.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// `identity` tells the operators of a cluster apart.
    pub fn new(client: Client, identity: String) -> Self {
        Self(Recorder::new(client, Reporter { controller: CONTROLLER.into(), instance: Some(identity) }))
    }

    /// Publishes an event about an object. A lost event is only logged, and does not fail the reconcile.
    pub async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        self.publish_about(&object.object_ref(&()), type_, reason, note, None).await;
    }

    /// Publishes an event about an object, with a related object. Returns false if the namespace is terminating and
    /// accepts no more events.
    pub async fn publish_about(
        &self,
        object: &ObjectReference,
        type_: EventType,
        reason: &str,
        note: String,
        other: Option<ObjectReference>,
    ) -> bool {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(shorten(note)),
            action: "Reconcile".into(),
            secondary: other,
        };
        match self.0.publish(&event, object).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, reason, object = ?object.name, "event lost");
                !is_namespace_terminating(&error)
            }
        }
    }
}

fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The note of an event has at most 1024 bytes (events.k8s.io/v1).
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
