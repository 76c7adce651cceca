//! Maps a watched object to its MessageBroker, by owner reference and by label, because backup tools drop owner
//! references.

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Secret, Service, ServiceAccount},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{Controller, reflector::ObjectRef, watcher},
};
use restante_crds::MessageBroker;

use crate::{
    names::{APP, BROKER_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL},
    reconcile::kind::Kind,
};

/// Triggers a reconcile of a MessageBroker when a child or its claim changes.
pub fn watch_children(
    controller: Controller<DeserializeGuard<MessageBroker>>,
    client: &Client,
    namespace: &str,
) -> Controller<DeserializeGuard<MessageBroker>> {
    // An object that is handed over to a MessageBroker gets these labels, so the watch sees it then.
    let children =
        watcher::Config::default().labels(&format!("{MANAGED_BY_LABEL}={FIELD_MANAGER},{BROKER_LABEL}"));
    controller
        .watches(Api::<StatefulSet>::namespaced(client.clone(), namespace), children.clone(), brokers)
        .watches(Api::<Service>::namespaced(client.clone(), namespace), children.clone(), brokers)
        .watches(Api::<ServiceAccount>::namespaced(client.clone(), namespace), children.clone(), brokers)
        .watches(Api::<Secret>::namespaced(client.clone(), namespace), children, brokers)
        .watches(
            Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace),
            pods_and_claims(),
            brokers,
        )
}

/// Selects pods and claims. A claim keeps the labels of the StatefulSet that created it.
pub fn pods_and_claims() -> watcher::Config {
    watcher::Config::default().labels(&format!("app.kubernetes.io/name={APP},{BROKER_LABEL}"))
}

/// The MessageBrokers that an object concerns.
fn brokers<K: Resource>(object: K) -> Vec<ObjectRef<DeserializeGuard<MessageBroker>>> {
    let namespace = object.namespace().unwrap_or_default();
    let owners = object
        .owner_references()
        .iter()
        .filter(|owner| owner.kind == MessageBroker::KIND)
        .map(|owner| owner.name.clone());
    let mut names: Vec<String> = owners.chain(object.labels().get(BROKER_LABEL).cloned()).collect();
    names.sort();
    names.dedup();
    names.iter().map(|name| ObjectRef::new(name).within(&namespace)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mapped(metadata: Value) -> Vec<String> {
        let secret: Secret = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        brokers(secret).into_iter().map(|broker| broker.name).collect()
    }

    #[test]
    fn a_child_is_mapped_by_its_owner_and_by_its_label() {
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
    fn a_child_of_another_owner_maps_to_no_broker() {
        let owners = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "u" }]);
        assert_eq!(mapped(json!({ "ownerReferences": owners })), [""; 0]);
    }
}
