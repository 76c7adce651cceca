//! Our finalizer on and off. By merge patch at a known resourceVersion: another's finalizers are never lost, and an
//! object whose spec no longer parses can still be let go.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use restante_crds::{FINALIZER, GROUP, MessageChannel};
use serde_json::json;

use crate::{error::Error, names::FIELD_MANAGER};

/// Whether our finalizer is on the object.
pub fn is_on(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|one| one == FINALIZER)
}

/// Puts our finalizer on the object, and gives what the object's metadata are then.
pub async fn put_on(api: &Api<MessageChannel>, metadata: &ObjectMeta) -> Result<ObjectMeta, Error> {
    let mut list = metadata.finalizers.clone().unwrap_or_default();
    list.push(FINALIZER.into());
    patch(api, metadata, &list).await
}

/// Whether a finalizer of any version of the operator is on the object.
pub fn any_is_on(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|one| is_ours(one))
}

fn is_ours(finalizer: &str) -> bool {
    finalizer.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/'))
}

/// Takes our finalizers off the object, after which it may be gone.
pub async fn take_off(api: &Api<MessageChannel>, metadata: &ObjectMeta) -> Result<(), Error> {
    let mut list = metadata.finalizers.clone().unwrap_or_default();
    list.retain(|one| !is_ours(one));
    match patch(api, metadata, &list).await {
        Ok(_) => Ok(()),
        // Someone else was quicker, and the object is gone.
        Err(Error::Kube { source, .. }) if is_not_found(&source) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn patch(
    api: &Api<MessageChannel>,
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
        .map_err(Error::kube(format!("set the finalizers of MessageChannel {name}")))?;
    Ok(patched.metadata)
}

/// Whether the API server said that the object is not there.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
