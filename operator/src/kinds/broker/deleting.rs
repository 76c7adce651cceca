//! The status of a MessageBroker that is being deleted: what its deletion waits for. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use restante_crds::MessageBroker;

use super::status::Observation;

/// The reason of Ready while the MessageBroker is deleted.
pub(super) const DELETING: &str = "Deleting";

impl Observation {
    /// The MessageBroker is being deleted, and what its deletion waits for.
    pub fn deleting(broker: &MessageBroker) -> Self {
        Self::not_ready(
            DELETING,
            format!("this MessageBroker is being deleted: {}", waits_for(&broker.metadata)),
        )
    }
}

/// What the deletion of an object waits for.
pub fn waits_for(metadata: &ObjectMeta) -> String {
    const FOREGROUND: &str = "foregroundDeletion";
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    if finalizers.iter().all(|finalizer| finalizer == FOREGROUND) {
        return "it disappears once Kubernetes has deleted its children".into();
    }
    let named: Vec<_> = finalizers.iter().filter(|finalizer| *finalizer != FOREGROUND).cloned().collect();
    format!("it disappears once these entries of metadata.finalizers are removed: {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{kinds::broker::validate::tests::broker, shared::stalled::Remedy};

    #[test]
    fn a_deleted_broker_names_the_finalizers_that_block_its_deletion() {
        let reported = |finalizers: &[&str]| {
            let mut broker = broker("mq", json!({}));
            broker.metadata.finalizers = Some(finalizers.iter().map(ToString::to_string).collect());
            Observation::deleting(&broker)
        };
        let held = reported(&["example.com/a", "foregroundDeletion", "example.com/b"]);
        assert_eq!((held.ready.reason.as_str(), held.remedy), ("Deleting", Remedy::Time));
        assert_eq!(
            held.ready.message,
            "this MessageBroker is being deleted: it disappears once these entries of metadata.finalizers are removed: \
             example.com/a, example.com/b"
        );
        let goes = reported(&["foregroundDeletion"]).ready.message;
        assert!(goes.ends_with("it disappears once Kubernetes has deleted its children"), "{goes}");
    }
}
