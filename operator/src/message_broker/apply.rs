//! Writes the children of a MessageBroker: server-side apply of the full intent, each time.

use std::fmt::Debug;

use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Service};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::build::Children;
use crate::{context::Context, error::Error, names::FIELD_MANAGER};

/// Applies every child, and gives the StatefulSet as it is then.
pub async fn apply(context: &Context, children: &Children) -> Result<StatefulSet, Error> {
    // The pods need the others: they come first.
    one(context, &children.service_account).await?;
    one(context, &children.credential).await?;
    service(context, &children.headless).await?;
    service(context, &children.service).await?;
    one(context, &children.workload).await
}

/// A port is known by its number: where someone changed a number, an apply would add ours beside it under the same name,
/// which is invalid. Then all ports are replaced first.
async fn service(context: &Context, service: &Service) -> Result<(), Error> {
    match one(context, service).await {
        Err(error) if error.is_invalid() => {
            let name = service.name_any();
            let ports =
                json!({ "spec": { "ports": service.spec.as_ref().and_then(|spec| spec.ports.as_ref()) } });
            let api: Api<Service> = Api::namespaced(context.client.clone(), &context.args.namespace);
            api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(&ports))
                .await
                .map_err(Error::kube(format!("replace the ports of Service {name}")))?;
            one(context, service).await.map(drop)
        }
        result => result.map(drop),
    }
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
