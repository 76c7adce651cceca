//! Writes the children of a MessageBroker, and never a foreign object. A missing object is created by POST, which fails
//! if another client was faster. An owned object is applied by its UID, with the full intent each time.

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ObjectReference, PersistentVolumeClaim, Secret, Service, ServiceAccount},
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
    core::NamespaceResourceScope,
    runtime::events::EventType,
};
use restante_crds::MessageBroker;
use serde_json::{Value, json};

use super::{
    build::Children,
    dereference::Found,
    ownership::{ChildOwner, Owners},
    storage,
};
use crate::{context::Context, names::FIELD_MANAGER, shared::error::Error};

/// Writes the children of one MessageBroker.
pub struct Writer<'a> {
    pub context: &'a Context,
    pub broker: &'a MessageBroker,
}

impl Writer<'_> {
    /// Applies every child, and returns the new StatefulSet.
    pub async fn children(
        &self,
        children: &Children,
        found: &Found,
        owners: &Owners,
    ) -> Result<StatefulSet, Error> {
        // The pods need the other children, which therefore come first.
        self.put::<ServiceAccount>(
            &owners.service_account,
            found.service_account.as_ref(),
            &children.service_account,
        )
        .await?;
        let secret = found.credential.as_ref().map(|secret| &secret.metadata);
        self.put::<Secret>(&owners.credential, secret, &children.credential).await?;
        let headless = found.headless.as_ref().map(|service| &service.metadata);
        self.service(&owners.headless, headless, &children.headless).await?;
        self.service(&owners.service, found.service.as_ref(), &children.service).await?;
        let workload = found.workload.as_ref().map(|workload| &workload.metadata);
        let workload = self.put::<StatefulSet>(&owners.workload, workload, &children.workload).await?;
        let name = workload.name_any();
        workload.try_parse().map_err(|error| {
            Error::kube(format!("read StatefulSet {name} after the write"))(kube::Error::SerdeError(
                serde::de::Error::custom(error),
            ))
        })
    }

    /// Applies a Service. Ports are merged by number: if a person changed a number, an apply would add our port under
    /// the same name, which is invalid. Then all ports are replaced first.
    async fn service(
        &self,
        whose: &ChildOwner,
        found: Option<&ObjectMeta>,
        body: &Value,
    ) -> Result<(), Error> {
        match (self.put::<Service>(whose, found, body).await, found) {
            (Err(error), Some(found)) if error.is_invalid() => {
                let (api, what, name) = self.api::<Service>(body);
                let ports =
                    json!({ "metadata": { "uid": found.uid }, "spec": { "ports": body["spec"]["ports"] } });
                api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(&ports))
                    .await
                    .map_err(Error::kube(format!("replace the ports of {what}")))?;
                self.put::<Service>(whose, Some(found), body).await.map(drop)
            }
            (result, _) => result.map(drop),
        }
    }

    async fn put<K>(
        &self,
        whose: &ChildOwner,
        found: Option<&ObjectMeta>,
        body: &Value,
    ) -> Result<DynamicObject, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let written = self.write::<K>(whose, found, body).await;
        let reference = |uid| ObjectReference {
            api_version: Some(K::api_version(&()).into()),
            kind: Some(K::kind(&()).into()),
            name: body["metadata"]["name"].as_str().map(str::to_owned),
            namespace: Some(self.context.args.namespace.clone()),
            uid,
            ..ObjectReference::default()
        };
        let written = written.map_err(|error| error.of(reference(None)))?;
        if *whose == ChildOwner::Adopt {
            let note = format!(
                "adopted {} {}, which has the operator's labels and no controller",
                K::kind(&()),
                written.name_any()
            );
            tracing::info!(broker = self.broker.name_any(), "{note}");
            let (broker, child) = (self.broker.object_ref(&()), reference(written.uid()));
            self.context.events.publish_about(&broker, EventType::Normal, "Adopted", note, Some(child)).await;
        }
        Ok(written)
    }

    async fn write<K>(
        &self,
        whose: &ChildOwner,
        found: Option<&ObjectMeta>,
        body: &Value,
    ) -> Result<DynamicObject, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let (api, what, name) = self.api::<K>(body);
        let mut body = body.clone();
        match (whose, found) {
            (ChildOwner::Taken(taken), _) => return Err(Error::Taken(taken.to_string())),
            (ChildOwner::Absent, _) | (_, None) => return create(&api, &what, &name, &body).await,
            (ChildOwner::Ours | ChildOwner::Adopt, Some(found)) => {
                own_by_apply(&api, &what, &name, found).await?;
                // With the UID, the API server refuses to write another object of the same name.
                body["metadata"]["uid"] = json!(found.uid);
                if K::kind(&()) == Secret::kind(&()) {
                    // The body contains the token that was read. A later edit of the token must not be overwritten.
                    body["metadata"]["resourceVersion"] = json!(found.resource_version);
                }
            }
        }
        // Revert changes of our fields by others.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&name, &params, &Patch::Apply(&body)).await;
        applied.map_err(Error::kube(format!("apply {what}")))
    }

    fn api<K>(&self, body: &Value) -> (Api<DynamicObject>, String, String)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api = Api::namespaced_with(self.context.client.clone(), &self.context.args.namespace, &resource);
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (api, format!("{} {name}", resource.kind), name)
    }

    /// Requests a larger size of the claim.
    pub async fn grow(
        &self,
        claim: &PersistentVolumeClaim,
        size: &Quantity,
    ) -> Result<PersistentVolumeClaim, Error> {
        let name = claim.name_any();
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.context.client.clone(), &self.context.args.namespace);
        let patch = json!({
            "metadata": { "uid": claim.metadata.uid },
            "spec": { "resources": { "requests": { "storage": size } } },
        });
        let params = PatchParams::apply(FIELD_MANAGER);
        let grown = claims.patch(&name, &params, &Patch::Merge(&patch)).await;
        let grown = grown.map_err(Error::kube(format!("grow PersistentVolumeClaim {name}")))?;
        let requested = claim.spec.as_ref().and_then(storage::size_of).map(|size| size.0.as_str());
        let note = format!(
            "claim {name} now requests {} instead of {}: its volume will grow",
            size.0,
            requested.unwrap_or("nothing")
        );
        // The version of the claim makes each growth an event of its own.
        let grows = ObjectReference { resource_version: grown.resource_version(), ..grown.object_ref(&()) };
        let broker = self.broker.object_ref(&());
        self.context
            .events
            .publish_about(&broker, EventType::Normal, "StorageGrowing", note, Some(grows))
            .await;
        Ok(grown)
    }

    /// Deletes the StatefulSet and its unbound claim, with preconditions: a claim that was bound meanwhile has another
    /// version and stays.
    pub async fn delete_unbound(&self, found: &Found) -> Result<(), Error> {
        // The StatefulSet is deleted first: it would recreate the old claim.
        if let Some(workload) = &found.workload {
            let seen = Preconditions { uid: workload.uid(), resource_version: None };
            self.delete::<StatefulSet>(&workload.name_any(), seen).await?;
        }
        if let Some(claim) = found.claim.as_ref().filter(|claim| claim.metadata.deletion_timestamp.is_none())
        {
            let seen = Preconditions { uid: claim.uid(), resource_version: claim.resource_version() };
            self.delete::<PersistentVolumeClaim>(&claim.name_any(), seen).await?;
        }
        let note =
            "the storage was changed before a volume was bound: StatefulSet and claim are being recreated";
        self.context.events.publish(self.broker, EventType::Normal, "StorageRecreated", note.into()).await;
        Ok(())
    }

    async fn delete<K>(&self, name: &str, seen: Preconditions) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.context.client.clone(), &self.context.args.namespace);
        let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::background() };
        match api.delete(name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            result => result.map(drop).map_err(Error::kube(format!("delete {} {name}", K::kind(&())))),
        }
    }
}

/// Creates an object, unless one of the same name exists.
async fn create(
    api: &Api<DynamicObject>,
    what: &str,
    name: &str,
    body: &Value,
) -> Result<DynamicObject, Error> {
    // A POST silently drops unknown fields. A dry run of an apply reports them.
    let mut tried = PatchParams::apply(FIELD_MANAGER).force();
    tried.dry_run = true;
    api.patch(name, &tried, &Patch::Apply(body)).await.map_err(Error::kube(format!("create {what}")))?;
    let object: DynamicObject = serde_json::from_value(body.clone())
        .map_err(|error| Error::kube(format!("create {what}"))(kube::Error::SerdeError(error)))?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let created = api.create(&params, &object).await.map_err(Error::kube(format!("create {what}")))?;
    Ok(own_by_apply(api, what, name, &created.metadata).await?.unwrap_or(created))
}

/// Converts our field ownership of a created object from "Update" to "Apply", like Kubernetes' csaupgrade. Otherwise an
/// apply that omits a field would not remove it.
async fn own_by_apply(
    api: &Api<DynamicObject>,
    what: &str,
    name: &str,
    metadata: &ObjectMeta,
) -> Result<Option<DynamicObject>, Error> {
    let fields = metadata.managed_fields.as_deref().unwrap_or_default();
    let position = |operation: &str| {
        fields.iter().position(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some(operation)
                && entry.subresource.is_none()
        })
    };
    let Some(index) = position("Update") else { return Ok(None) };
    let entry = format!("/metadata/managedFields/{index}");
    let change = match position("Apply") {
        None => json!({ "op": "replace", "path": format!("{entry}/operation"), "value": "Apply" }),
        Some(_) => json!({ "op": "remove", "path": entry }),
    };
    // No resourceVersion, because controllers write statuses meanwhile. The `test` operations ensure that the entry is
    // the intended one.
    let patch = json!([
        { "op": "test", "path": "/metadata/uid", "value": metadata.uid },
        { "op": "test", "path": format!("{entry}/manager"), "value": FIELD_MANAGER },
        { "op": "test", "path": format!("{entry}/operation"), "value": "Update" },
        change,
    ]);
    let patch = serde_json::from_value(patch).map_err(|error| {
        Error::kube(format!("take ownership of the fields of {what}"))(kube::Error::SerdeError(error))
    })?;
    let patch = Patch::Json::<()>(patch);
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(owned) => Ok(Some(owned)),
        // A controller wrote meanwhile and changed the order of the entries. The next reconcile tries again.
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(None),
        Err(error) => Err(Error::kube(format!("take ownership of the fields of {what}"))(error)),
    }
}
