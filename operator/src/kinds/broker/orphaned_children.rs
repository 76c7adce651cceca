//! Children that lost their owner reference just before their MessageBroker was deleted. Kubernetes would leave them
//! behind.
//!
//! The operator restores the reference. As the owner does not exist any more, Kubernetes then deletes the children. So
//! the operator needs no permission to delete, and the usual ownership rule protects foreign objects.

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{Secret, Service, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use restante_crds::{GROUP, MessageBroker, VERSION};
use serde_json::json;

use super::{
    dereference,
    ownership::{ChildOwner, Owners, Parent},
};
use crate::{
    context::Context, fleet::Member, names::FIELD_MANAGER, reconcile::kind::Kind, shared::error::Error,
};

/// Kubernetes' finalizer of `kubectl delete --cascade=orphan`: the children must stay.
const ORPHAN: &str = "orphan";

/// Records whether a MessageBroker is being deleted without its children.
pub fn note_policy(context: &Context, broker: &ObjectMeta) {
    let orphans = broker.finalizers.iter().flatten().any(|finalizer| finalizer == ORPHAN);
    let member = broker.name.as_deref().filter(|_| orphans).and_then(|name| context.fleet.member(name));
    if let Some(member) = member {
        member.keep_children();
    }
}

/// Lets Kubernetes delete the children of a deleted MessageBroker, unless they must stay.
pub async fn delete_with_owner(context: &Context, member: &Member) -> Result<(), Error> {
    if member.keeps_children() {
        return Ok(());
    }
    let (name, uid) = (member.name.as_str(), member.facts().uid);
    let owner = OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: MessageBroker::KIND.into(),
        name: name.into(),
        uid,
        controller: Some(true),
        ..OwnerReference::default()
    };
    let parent = Parent { name, namespace: &context.args.namespace, owner: &owner };
    let found = dereference::found(context, name).await?;
    let owners = Owners::of(&found, parent);
    let secret = found.credential.as_ref().map(|secret| &secret.metadata);
    let workload = found.workload.as_ref().map(|workload| &workload.metadata);
    restore_owner::<StatefulSet>(context, &owners.workload, workload, &owner).await?;
    restore_owner::<Service>(context, &owners.service, found.service.as_ref(), &owner).await?;
    let headless = found.headless.as_ref().map(|service| &service.metadata);
    restore_owner::<Service>(context, &owners.headless, headless, &owner).await?;
    restore_owner::<Secret>(context, &owners.credential, secret, &owner).await?;
    restore_owner::<ServiceAccount>(context, &owners.service_account, found.service_account.as_ref(), &owner)
        .await
}

async fn restore_owner<K>(
    context: &Context,
    whose: &ChildOwner,
    found: Option<&ObjectMeta>,
    owner: &OwnerReference,
) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let (ChildOwner::Adopt, Some(found)) = (whose, found) else { return Ok(()) };
    let name = found.name.as_deref().unwrap_or_default();
    let api: Api<K> = Api::namespaced(context.client.clone(), &context.args.namespace);
    let owners: Vec<_> = found.owner_references.iter().flatten().chain([owner]).collect();
    let patch = json!({ "metadata": {
        "uid": found.uid, "resourceVersion": found.resource_version, "ownerReferences": owners,
    } });
    tracing::info!(kind = %K::kind(&()), name, "restoring the owner reference to a deleted MessageBroker, so that Kubernetes deletes the child");
    match api.patch_metadata(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => {
            result.map(drop).map_err(Error::kube(format!("restore the owner of {} {name}", K::kind(&()))))
        }
    }
}
