//! A MessageBroker that is deleted and still there: it says what keeps it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use restante_crds::MessageBroker;

use super::status::Observation;

/// The reason of Ready while the MessageBroker is deleted.
pub(super) const DELETING: &str = "Deleting";

impl Observation {
    /// That the MessageBroker is deleted, and what keeps it until then.
    pub fn deleting(broker: &MessageBroker) -> Self {
        Self::not_ready(
            DELETING,
            format!("this MessageBroker is being deleted: {}", waits_for(&broker.metadata)),
        )
    }
}

/// What a deleted object waits for.
pub fn waits_for(metadata: &ObjectMeta) -> String {
    const FOREGROUND: &str = "foregroundDeletion";
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    if finalizers.iter().all(|finalizer| finalizer == FOREGROUND) {
        return "it goes once Kubernetes has deleted what it is made of".into();
    }
    let named: Vec<_> = finalizers.iter().filter(|finalizer| *finalizer != FOREGROUND).cloned().collect();
    format!("it goes once nobody holds it any more by {} in metadata.finalizers", named.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{message_broker::validate::tests::broker, stalled::Remedy};

    #[test]
    fn a_deleted_broker_names_the_finalizers_that_block_its_deletion() {
        let told = |finalizers: &[&str]| {
            let mut broker = broker("mq", json!({}));
            broker.metadata.finalizers = Some(finalizers.iter().map(ToString::to_string).collect());
            Observation::deleting(&broker)
        };
        let held = told(&["example.com/a", "foregroundDeletion", "example.com/b"]);
        assert_eq!((held.ready.reason.as_str(), held.remedy), ("Deleting", Remedy::Time));
        assert_eq!(
            held.ready.message,
            "this MessageBroker is being deleted: it goes once nobody holds it any more by example.com/a, example.com/b in \
             metadata.finalizers"
        );
        let goes = told(&["foregroundDeletion"]).ready.message;
        assert!(goes.ends_with("it goes once Kubernetes has deleted what it is made of"), "{goes}");
    }
}
