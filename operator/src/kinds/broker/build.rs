//! The children of a MessageBroker. Pure.

use k8s_openapi::{ByteString, api::core::v1::PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{dereference::Credential, pod, validate::Broker};
use crate::names::{self, ADMIN_PORT, CONTROL_PORT, DATA_PORT, TOKEN_KEY, VOLUME};

/// The children of a MessageBroker, as applied. They are JSON values and not Kubernetes types, so that the API server,
/// not our deserializer, validates `spec.template`.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// An identity without permissions: the broker never talks to Kubernetes.
    pub service_account: Value,
    pub credential: Value,
    /// The headless Service, for the DNS names of the pods.
    pub headless: Value,
    /// The Service for clients.
    pub service: Value,
    /// The StatefulSet, with its claim templates.
    pub workload: Value,
}

/// Builds the children. `templates` are the claim templates of the existing StatefulSet, which are immutable.
pub fn children(
    broker: &Broker,
    credential: &Credential,
    templates: Option<&[PersistentVolumeClaim]>,
) -> Children {
    Children {
        service_account: service_account(broker),
        credential: secret(broker, credential),
        headless: headless(broker),
        service: service(broker),
        workload: workload(broker, credential, templates),
    }
}

fn object(broker: &Broker, api_version: &str, kind: &str, name: String) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": broker.namespace,
            "labels": names::labels(&broker.name),
            "ownerReferences": [broker.owner],
        },
    })
}

fn service_account(broker: &Broker) -> Value {
    let mut account = object(broker, "v1", "ServiceAccount", names::workload(&broker.name));
    account["automountServiceAccountToken"] = json!(false);
    let annotations = &broker.template.service_account_annotations;
    if !annotations.is_empty() {
        account["metadata"]["annotations"] = json!(annotations);
    }
    account
}

fn secret(broker: &Broker, credential: &Credential) -> Value {
    let mut secret = object(broker, "v1", "Secret", names::credential(&broker.name));
    // Always included, because the API server removes a field that an apply omits.
    secret["data"] = json!({ TOKEN_KEY: ByteString(credential.0.clone().into_bytes()) });
    secret
}

fn headless(broker: &Broker) -> Value {
    let mut service = object(broker, "v1", "Service", names::headless(&broker.name));
    // Both Services select the same pods. With this label, a scraper that selects Services finds each pod once.
    service["metadata"]["labels"]["restante.dev/service"] = json!("headless");
    // A pod needs its DNS name before it is ready, because it becomes ready by being programmed.
    service["spec"] = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": names::selector(&broker.name),
        "ports": [
            { "name": "http", "port": DATA_PORT, "targetPort": "http", "protocol": "TCP" },
            { "name": "admin", "port": ADMIN_PORT, "targetPort": "admin", "protocol": "TCP" },
            { "name": "control", "port": CONTROL_PORT, "targetPort": "control", "protocol": "TCP" },
        ],
    });
    service
}

fn service(broker: &Broker) -> Value {
    let mut service = object(broker, "v1", "Service", names::workload(&broker.name));
    service["spec"] = json!({
        "type": "ClusterIP",
        "selector": names::selector(&broker.name),
        "ports": [{ "name": "http", "port": DATA_PORT, "targetPort": "http", "protocol": "TCP" }],
    });
    service
}

fn workload(broker: &Broker, credential: &Credential, templates: Option<&[PersistentVolumeClaim]>) -> Value {
    let mut workload = object(broker, "apps/v1", "StatefulSet", names::workload(&broker.name));
    workload["spec"] = json!({
        "serviceName": names::headless(&broker.name),
        "replicas": broker.replicas,
        "podManagementPolicy": "Parallel",
        "selector": { "matchLabels": names::selector(&broker.name) },
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
        "volumeClaimTemplates": templates.map_or_else(|| json!([claim(broker)]), |templates| json!(templates)),
        "template": pod::template(broker, credential),
    });
    workload
}

fn claim(broker: &Broker) -> Value {
    let mut claim = json!({
        "metadata": { "name": VOLUME, "labels": names::selector(&broker.name) },
        "spec": {
            "accessModes": [broker.storage.access_mode.as_str()],
            "resources": { "requests": { "storage": broker.storage.size } },
        },
    });
    if let Some(class) = &broker.storage.storage_class_name {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::broker::validate::{
        tests::{args, broker},
        validate,
    };

    fn built(spec: Value, credential: &Credential) -> Children {
        children(&validate(&broker("mq", spec), &args()).unwrap(), credential, None)
    }

    fn kept() -> Credential {
        Credential("t".repeat(64))
    }

    #[test]
    fn every_child_is_owned_and_named_after_its_broker() {
        let children = built(json!({}), &kept());
        for child in [
            &children.service_account,
            &children.credential,
            &children.headless,
            &children.service,
            &children.workload,
        ] {
            let metadata = &child["metadata"];
            let owner = &metadata["ownerReferences"][0];
            assert_eq!((&owner["kind"], &owner["name"]), (&json!("MessageBroker"), &json!("default")));
            assert_eq!(owner["controller"], true);
            assert!(metadata["name"].as_str().unwrap().starts_with("restante-default"));
            assert_eq!(metadata["namespace"], "mq");
            assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "restante-operator");
            assert_eq!(metadata["labels"]["restante.dev/broker"], "default");
        }
    }

    #[test]
    fn the_secret_always_contains_the_credential() {
        // "ttt" in base64 is "dHR0".
        let secret = built(json!({}), &Credential("ttt".into())).credential;
        assert_eq!(secret["data"], json!({ "token": "dHR0" }));
    }

    #[test]
    fn the_same_broker_builds_the_same_children() {
        assert_eq!(built(json!({}), &kept()), built(json!({}), &kept()));
        assert_ne!(
            built(json!({}), &kept()).workload,
            built(json!({}), &Credential("other".into())).workload
        );
    }

    #[test]
    fn the_claims_are_retained() {
        let workload = built(json!({}), &kept()).workload;
        let retention = &workload["spec"]["persistentVolumeClaimRetentionPolicy"];
        assert_eq!(*retention, json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }));
    }

    #[test]
    fn the_claim_templates_of_a_stateful_set_are_not_changed() {
        let spec = json!({ "engine": { "embedded": { "storage": { "size": "3Gi" } } } });
        let size = |workload: &Value| {
            workload["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].clone()
        };
        assert_eq!(size(&built(spec.clone(), &kept()).workload), "3Gi");
        let found: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": { "name": "data" }, "spec": { "resources": { "requests": { "storage": "1Gi" } } },
        }))
        .unwrap();
        let valid = validate(&broker("mq", spec), &args()).unwrap();
        assert_eq!(size(&children(&valid, &kept(), Some(&[found])).workload), "1Gi");
    }

    #[test]
    fn the_service_account_has_the_annotations_of_the_template() {
        let account = |spec| built(spec, &kept()).service_account["metadata"]["annotations"].clone();
        assert_eq!(account(json!({})), Value::Null);
        let given = json!({ "template": { "serviceAccountAnnotations": { "role": "reader" } } });
        assert_eq!(account(given), json!({ "role": "reader" }));
    }

    #[test]
    fn every_child_is_of_its_kubernetes_type() {
        let children = built(json!({}), &kept());
        serde_json::from_value::<k8s_openapi::api::core::v1::ServiceAccount>(children.service_account)
            .unwrap();
        serde_json::from_value::<k8s_openapi::api::core::v1::Secret>(children.credential).unwrap();
        for service in [children.headless, children.service] {
            serde_json::from_value::<k8s_openapi::api::core::v1::Service>(service).unwrap();
        }
        serde_json::from_value::<k8s_openapi::api::apps::v1::StatefulSet>(children.workload).unwrap();
    }
}
