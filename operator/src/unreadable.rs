//! Objects in the store that this version cannot read, from an older or a newer definition. One of them must not keep the
//! others from being seen, and its status can be written all the same.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::error_boundary::InvalidObject,
};
use serde_json::json;

use crate::{
    conditions::{Assertion, conditions},
    context::Context,
    error::Error,
};

/// The generations that were told to be unreadable, by UID: there is no old status to compare with, and telling it again
/// would wake the reconcile that tells it.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashMap<String, i64>>);

impl Told {
    /// Marks a generation as told, and says whether it was not.
    fn is_news(&self, invalid: &InvalidObject) -> bool {
        let uid = invalid.metadata.uid.clone().unwrap_or_default();
        let generation = invalid.metadata.generation.unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, generation) != Some(generation)
    }
}

/// Tells in the status that the object cannot be read.
pub async fn tell<K>(context: &Context, invalid: &InvalidObject, condition: &'static str) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    if !context.told.is_news(invalid) {
        return Ok(());
    }
    let resource = ApiResource::erase::<K>(&());
    let (kind, api_version) = (resource.kind.clone(), resource.api_version.clone());
    let name = invalid.metadata.name.clone().unwrap_or_default();
    let namespace = invalid.metadata.namespace.clone().unwrap_or_default();
    tracing::warn!(kind, name, namespace, error = invalid.error, "a resource cannot be read");
    let message = format!(
        "this version of the operator cannot read the resource ({}): apply it again with the fields that \
         `kubectl explain {}.spec` shows",
        invalid.error, resource.plural
    );
    let assertion = Assertion::fails(condition, "Unreadable", message);
    let generation = invalid.metadata.generation;
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let patch = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name, "uid": invalid.metadata.uid },
        "status": {
            "observedGeneration": generation,
            "conditions": conditions(&[], generation, Timestamp::now(), [assertion]),
        },
    });
    // A merge patch: server-side apply needs a live object that fits the definition.
    match api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        // Not even the status of an object can be written that breaks a rule of its definition. The log has told it.
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 500 => {
            tracing::warn!(
                kind,
                name,
                namespace,
                reason = status.message,
                "its status cannot be written either"
            );
            Ok(())
        }
        Err(error) => Err(Error::kube(format!("write the status of {kind} {name}"))(error)),
    }
}
