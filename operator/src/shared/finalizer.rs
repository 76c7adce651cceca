//! Adds and removes an operator's finalizer, `restante.dev/<its namespace>`. It names the operator that a deleted
//! channel waits for, and no operator removes the finalizer of another.
//!
//! Both are merge patches at a known resourceVersion. So no foreign finalizer is lost, and the finalizer can be removed
//! even from an object whose spec cannot be parsed.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use restante_crds::GROUP;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{names::FIELD_MANAGER, shared::error::Error};

/// An object that may have a finalizer.
pub trait Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned {}

impl<K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned> Object for K {}

/// The finalizer of the operator in a namespace.
pub fn of(namespace: &str) -> String {
    format!("{GROUP}/{namespace}")
}

/// The namespace of the operator whose finalizer is on the object. Of several finalizers, the first; only a person can
/// add a second one.
pub fn holder(metadata: &ObjectMeta) -> Option<&str> {
    metadata.finalizers.iter().flatten().find_map(|one| namespace_in(one))
}

/// Whether the object has the finalizer of the operator in a namespace.
pub fn is_on(metadata: &ObjectMeta, namespace: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|one| namespace_in(one) == Some(namespace))
}

fn namespace_in(finalizer: &str) -> Option<&str> {
    finalizer.strip_prefix(GROUP)?.strip_prefix('/')
}

/// Adds the finalizer, and returns the new metadata.
pub async fn add<K: Object>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    namespace: &str,
) -> Result<ObjectMeta, Error> {
    let mut list = metadata.finalizers.clone().unwrap_or_default();
    list.push(of(namespace));
    patch(api, metadata, &list).await
}

/// Removes the finalizer. Afterwards the object may not exist any more.
pub async fn remove<K: Object>(api: &Api<K>, metadata: &ObjectMeta, namespace: &str) -> Result<(), Error> {
    let mut list = metadata.finalizers.clone().unwrap_or_default();
    list.retain(|one| namespace_in(one) != Some(namespace));
    match patch(api, metadata, &list).await {
        Ok(_) => Ok(()),
        // The object was deleted meanwhile.
        Err(Error::Kube { source, .. }) if is_not_found(&source) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn patch<K: Object>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    finalizers: &[String],
) -> Result<ObjectMeta, Error> {
    let name = metadata.name.as_deref().unwrap_or_default();
    let patch = json!({
        "metadata": { "resourceVersion": metadata.resource_version, "uid": metadata.uid, "finalizers": finalizers },
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patched = api
        .patch_metadata(name, &params, &Patch::Merge(&patch))
        .await
        .map_err(Error::kube(format!("set the finalizers of {} {name}", K::kind(&()))))?;
    Ok(patched.metadata)
}

/// Whether the API server answered 404.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finalizer_names_its_operator() {
        let with = |list: &[&str]| ObjectMeta {
            finalizers: Some(list.iter().map(|one| (*one).to_owned()).collect()),
            ..ObjectMeta::default()
        };
        let ours = with(&["foregroundDeletion", "example.com/x", "restante.device/x", &of("mq")]);
        assert_eq!(holder(&ours), Some("mq"));
        assert!(is_on(&ours, "mq") && !is_on(&ours, "m") && !is_on(&ours, "mq-2"));
        assert_eq!(holder(&with(&["foregroundDeletion"])), None);
        assert_eq!(holder(&ObjectMeta::default()), None);
    }
}
