//! Objects that this version cannot read, because they fit an older or a newer definition. They must not block the
//! lists of readable objects, and their status can still be written.

use k8s_openapi::jiff::Timestamp;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::error_boundary::InvalidObject,
};
use restante_crds::condition::kind;
use serde_json::{Value, json};

use crate::{
    context::Context,
    reconcile::kind::Kind,
    shared::{
        conditions::{Assertion, conditions},
        error::Error,
    },
};

/// An unreadable object, and its conditions.
#[derive(Debug, Clone, Copy)]
pub struct Unreadable<'a> {
    pub invalid: &'a InvalidObject,
    /// The conditions that become False.
    pub fails: &'a [&'static str],
}

/// Reports in the status that the object cannot be read, if it belongs to this operator. `is_ours` decides this by the
/// raw spec.
pub async fn report<K: Kind>(
    context: &Context,
    unreadable: Unreadable<'_>,
    is_ours: impl FnOnce(&DynamicObject) -> bool,
) -> Result<(), Error> {
    let invalid = unreadable.invalid;
    if context.reported.contains(invalid) {
        return Ok(());
    }
    let resource = ApiResource::erase::<K>(&());
    let kind = resource.kind.clone();
    let name = invalid.metadata.name.clone().unwrap_or_default();
    let namespace = invalid.metadata.namespace.clone().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let read = api.get_opt(&name).await.map_err(Error::kube(format!("read {kind} {name}")))?;
    let Some(object) = read.filter(|object| object.metadata.uid == invalid.metadata.uid) else {
        return Ok(());
    };
    if !is_ours(&object) {
        return Ok(());
    }
    tracing::warn!(kind, name, namespace, error = invalid.error, "cannot read a resource");
    let patch = patch::<K>(&resource, unreadable, &object);
    // A merge patch, because server-side apply requires that the live object fits the definition.
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => {}
        // The object breaks a rule of its definition, so that not even its status can be written. Only the log reports
        // it.
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 500 => {
            tracing::warn!(
                kind,
                name,
                namespace,
                reason = status.message,
                "cannot write the status of an unreadable resource"
            );
        }
        Err(error) => return Err(Error::kube(format!("write the status of {kind} {name}"))(error)),
    }
    context.reported.mark(invalid);
    Ok(())
}

/// The patch of the status, at the resourceVersion that was read, so that no concurrent write of another manager is
/// lost.
fn patch<K: Kind>(resource: &ApiResource, unreadable: Unreadable<'_>, object: &DynamicObject) -> Value {
    let Unreadable { invalid, fails } = unreadable;
    let message = format!(
        "this version of the operator cannot read the resource ({}): apply it again, with the fields shown by \
         `kubectl explain {}.spec`",
        invalid.error, resource.plural
    );
    let fails = fails.iter().map(|kind| Assertion::fails(kind, "Unreadable", message.clone()));
    let stalled = Assertion::holds(kind::STALLED, "Unreadable", message.clone());
    let generation = object.metadata.generation;
    let merged = conditions(&[], generation, Timestamp::now(), fails.chain([stalled]));
    let is_foreign =
        |condition: &&Value| condition["type"].as_str().is_some_and(|kind| !K::CONDITIONS.contains(&kind));
    let before = object.data["status"]["conditions"].as_array();
    let foreign = before.into_iter().flatten().filter(is_foreign).cloned();
    let merged = merged.iter().map(|condition| json!(condition)).chain(foreign).collect::<Vec<_>>();
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": object.metadata.name,
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
        },
        "status": { "observedGeneration": generation, "conditions": merged },
    })
}

#[cfg(test)]
mod tests {
    use restante_crds::MessageChannel;

    use super::*;

    #[test]
    fn foreign_conditions_of_an_unreadable_object_are_kept() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": { "name": "orders", "namespace": "acme", "resourceVersion": "7", "generation": 2 },
            "spec": {},
            "status": { "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "DeletionBlocked", "status": "True" },
                { "type": "example.com/Audited", "status": "True" },
            ] },
        }))
        .unwrap();
        let invalid = InvalidObject { error: "no".into(), metadata: object.metadata.clone() };
        let unreadable = Unreadable { invalid: &invalid, fails: &[kind::READY] };
        let patch = patch::<MessageChannel>(&ApiResource::erase::<MessageChannel>(&()), unreadable, &object);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let merged: Vec<_> = patch["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["type"].as_str().unwrap(), one["status"].as_str().unwrap()))
            .collect();
        assert_eq!(merged, [("Ready", "False"), ("Stalled", "True"), ("example.com/Audited", "True")]);
    }
}
