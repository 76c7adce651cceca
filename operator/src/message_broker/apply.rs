//! Writes the children of a MessageBroker: server-side apply of the full intent, each time.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};

use super::build::Children;
use crate::{context::Context, error::Error, names::FIELD_MANAGER};

/// Applies every child, and gives the StatefulSet as it is then.
pub async fn apply(context: &Context, children: &Children) -> Result<StatefulSet, Error> {
    // The pods need the others: they come first.
    one(context, &children.service_account).await?;
    one(context, &children.credential).await?;
    one(context, &children.headless).await?;
    one(context, &children.service).await?;
    one(context, &children.workload).await
}

async fn one<K>(context: &Context, object: &K) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let name = object.name_any();
    let api: Api<K> = Api::namespaced(context.client.clone(), &context.args.namespace);
    // What someone else set of our fields is put back.
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(object))
        .await
        .map_err(Error::kube(format!("apply {} {name}", K::kind(&()))))
}
