//! Writes the status of an object of any kind if it changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use restante_crds::condition;
use serde_json::json;

use crate::{context::Context, names::FIELD_MANAGER};
use crate::{reconcile::kind::Kind, shared::error::Error};

/// The operator's part of the status. Conditions of other managers are neither compared nor written.
pub fn own<K: Kind>(object: &K) -> K::Status {
    let mut status = object.status().cloned().unwrap_or_default();
    let conditions = K::conditions(&mut status);
    *conditions = condition::of_kinds(conditions, K::CONDITIONS);
    status
}

/// Applies the status, and returns the new metadata.
pub async fn apply<K: Kind>(client: &Client, object: &K, status: &K::Status) -> Result<ObjectMeta, Error> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    // With the UID, an object that was recreated under the same name does not get the old object's status.
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::KIND,
        "metadata": { "name": name, "uid": object.meta().uid },
        "status": status,
    });
    let written = api
        .patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch))
        .await
        .map_err(Error::kube(format!("write the status of {} {namespace}/{name}", K::KIND)))?;
    Ok(written.meta().clone())
}

/// A status that was written.
pub struct Written<S> {
    /// The operator's part of the status before.
    pub before: S,
    /// The new metadata.
    pub metadata: ObjectMeta,
}

/// Writes the status. `None` if it did not change: a write without a change costs the API server almost as much.
pub async fn write<K: Kind>(
    context: &Context,
    object: &K,
    status: &K::Status,
) -> Result<Option<Written<K::Status>>, Error> {
    let before = own(object);
    if before == *status {
        return Ok(None);
    }
    let metadata = apply(&context.client, object, status).await?;
    context.last_writes.record(&metadata);
    context.metrics.status_writes.with_label_values(&[K::KIND]).inc();
    Ok(Some(Written { before, metadata }))
}
