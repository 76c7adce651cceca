//! Whose child a watched object is: by its owner reference, and by its label as well, as backup tools drop references.

use kube::{Resource, ResourceExt, core::DeserializeGuard, runtime::reflector::ObjectRef};
use restante_crds::MessageBroker;

use super::KIND;
use crate::names::{APP, BROKER_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL};

/// What selects children. What is handed over to a MessageBroker is given these labels, and is seen then.
pub fn children() -> String {
    format!("{MANAGED_BY_LABEL}={FIELD_MANAGER},{BROKER_LABEL}")
}

/// What selects pods and claims. A claim keeps the labels of the StatefulSet that it was made for.
pub fn pods_and_claims() -> String {
    format!("app.kubernetes.io/name={APP},{BROKER_LABEL}")
}

/// The MessageBrokers that an object concerns.
pub fn brokers<K: Resource>(object: K) -> Vec<ObjectRef<DeserializeGuard<MessageBroker>>> {
    let namespace = object.namespace().unwrap_or_default();
    let owners =
        object.owner_references().iter().filter(|owner| owner.kind == KIND).map(|owner| owner.name.clone());
    let mut names: Vec<String> = owners.chain(object.labels().get(BROKER_LABEL).cloned()).collect();
    names.sort();
    names.dedup();
    names.iter().map(|name| ObjectRef::new(name).within(&namespace)).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::{Value, json};

    use super::*;

    fn mapped(metadata: Value) -> Vec<String> {
        let secret: Secret = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        brokers(secret).into_iter().map(|broker| broker.name).collect()
    }

    #[test]
    fn a_child_is_known_by_its_owner_and_by_its_label() {
        let owners = json!([{ "apiVersion": "restante.dev/v1alpha1", "kind": "MessageBroker", "name": "a", "uid": "u" }]);
        assert_eq!(mapped(json!({ "ownerReferences": owners })), ["a"]);
        assert_eq!(mapped(json!({ "labels": { "restante.dev/broker": "a" } })), ["a"]);
        assert_eq!(
            mapped(json!({ "ownerReferences": owners, "labels": { "restante.dev/broker": "a" } })),
            ["a"]
        );
        let both = json!({ "ownerReferences": owners, "labels": { "restante.dev/broker": "b" } });
        assert_eq!(mapped(both), ["a", "b"]);
    }

    #[test]
    fn a_child_of_something_else_concerns_no_broker() {
        let owners = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "u" }]);
        assert_eq!(mapped(json!({ "ownerReferences": owners })), [""; 0]);
    }
}
