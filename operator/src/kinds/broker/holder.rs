//! Names the holder of a foreign object, as far as its metadata show it. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use super::ownership::label;
use crate::names::{BROKER_LABEL, FIELD_MANAGER, MANAGED_BY_LABEL};

/// The holder of an object without a controller.
pub(super) fn holder(found: &ObjectMeta) -> String {
    let annotation = |key: &str| found.annotations.as_ref()?.get(key);
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        return format!("the Helm release {release}");
    }
    match (label(found, MANAGED_BY_LABEL), label(found, BROKER_LABEL)) {
        (Some(FIELD_MANAGER), Some(other)) => return format!("MessageBroker {other}"),
        (Some(manager), _) if manager != FIELD_MANAGER => return manager.to_owned(),
        _ => {}
    }
    let managers = found.managed_fields.iter().flatten();
    // A manager of the status only did not create the object. Neither did Kubernetes, if another manager owns fields of
    // the spec: kube-controller-manager annotates and binds a claim in the same second in which a user applies it.
    let first = managers
        .filter(|entry| entry.time.is_some() && entry.subresource.is_none())
        .min_by_key(|entry| (is_kubernetes_manager(entry), !owns_content(entry), entry.time.clone()));
    match first.and_then(|entry| entry.manager.as_deref()) {
        Some(manager) => format!("another owner (created with {manager})"),
        None => "another owner".to_owned(),
    }
}

fn is_kubernetes_manager(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref().is_some_and(|manager| manager.starts_with("kube-") || manager == "kubelet")
}

/// Whether a manager owns fields other than metadata, status and the volume name of a claim.
fn owns_content(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.as_object());
    let is_filled_in = |spec: &Value| {
        spec.as_object()
            .is_some_and(|spec| spec.keys().all(|field| [".", "f:volumeName"].contains(&field.as_str())))
    };
    fields.into_iter().flatten().any(|(field, inner)| match field.as_str() {
        "f:metadata" | "f:status" => false,
        "f:spec" => !is_filled_in(inner),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_holder_is_read_from_the_metadata() {
        let by = |metadata: Value| holder(&serde_json::from_value(metadata).unwrap());
        let release = json!({ "annotations": { "meta.helm.sh/release-name": "shop" } });
        assert_eq!(by(release), "the Helm release shop");
        assert_eq!(by(json!({ "labels": { "app.kubernetes.io/managed-by": "argo" } })), "argo");
        let other =
            json!({ "app.kubernetes.io/managed-by": "restante-operator", "restante.dev/broker": "other" });
        assert_eq!(by(json!({ "labels": other })), "MessageBroker other");
        let fields = json!([
            { "manager": "later", "time": "2026-02-01T00:00:00Z" },
            { "manager": "kube-controller-manager", "time": "2025-12-01T00:00:00Z", "subresource": "status" },
            { "manager": "kubectl-create", "time": "2026-01-01T00:00:00Z" },
        ]);
        assert_eq!(by(json!({ "managedFields": fields })), "another owner (created with kubectl-create)");
        let bound = json!([
            {
                "manager": "kube-controller-manager", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": { "f:metadata": { "f:annotations": {} }, "f:spec": { "f:volumeName": {} } },
            },
            {
                "manager": "csi-provisioner", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": { "f:metadata": { "f:annotations": {} } },
            },
            {
                "manager": "kubectl-client-side-apply", "time": "2026-01-01T00:00:01Z",
                "fieldsV1": { "f:spec": { "f:accessModes": {}, "f:volumeName": {} } },
            },
        ]);
        assert_eq!(
            by(json!({ "managedFields": bound })),
            "another owner (created with kubectl-client-side-apply)"
        );
        let alone = json!([{ "manager": "kube-controller-manager", "time": "2026-01-01T00:00:00Z" }]);
        assert_eq!(
            by(json!({ "managedFields": alone })),
            "another owner (created with kube-controller-manager)"
        );
        assert_eq!(by(json!({})), "another owner");
    }
}
