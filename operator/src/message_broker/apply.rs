//! Writes the children of a MessageBroker, and nothing that is another's: what is not there is created by POST, which fails
//! where somebody else was faster; what is ours is applied, by its UID, with the full intent each time.

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
use crate::{context::Context, error::Error, names::FIELD_MANAGER};

/// Writes for one MessageBroker.
pub struct Writer<'a> {
    /// What every reconcile shares.
    pub context: &'a Context,
    /// Whom events are about.
    pub broker: &'a MessageBroker,
}

impl Writer<'_> {
    /// Applies every child, and gives the StatefulSet as it is then.
    pub async fn children(
        &self,
        children: &Children,
        found: &Found,
        owners: &Owners,
    ) -> Result<StatefulSet, Error> {
        // The pods need the others: they come first.
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
            Error::kube(format!("read StatefulSet {name} as it was written"))(kube::Error::SerdeError(
                serde::de::Error::custom(error),
            ))
        })
    }

    /// A port is known by its number: where someone changed a number, an apply would add ours beside it under the same
    /// name, which is invalid. Then all ports are replaced first.
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
                "{} {} has the operator's labels and no controller: it is this MessageBroker's again",
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
                // Another object of the name is another UID, and refused.
                body["metadata"]["uid"] = json!(found.uid);
                if K::kind(&()) == Secret::kind(&()) {
                    // It carries the token that was read. A later edit of the token must not be overwritten.
                    body["metadata"]["resourceVersion"] = json!(found.resource_version);
                }
            }
        }
        // What someone else set of our fields is put back.
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

    /// Asks for a larger claim.
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
            "claim {name} requests {} now, instead of {}: its volume is to grow",
            size.0,
            requested.unwrap_or("nothing")
        );
        // Two growths are two events, as each is of another version of the claim.
        let grows = ObjectReference { resource_version: grown.resource_version(), ..grown.object_ref(&()) };
        let broker = self.broker.object_ref(&());
        self.context
            .events
            .publish_about(&broker, EventType::Normal, "StorageGrowing", note, Some(grows))
            .await;
        Ok(grown)
    }

    /// Deletes the StatefulSet, and its claim that was never bound. Each only as it was seen: a claim that was bound
    /// meanwhile is another version and stays.
    pub async fn delete_unbound(&self, found: &Found) -> Result<(), Error> {
        // The StatefulSet goes first: it would make the claim again as it was.
        if let Some(workload) = &found.workload {
            let seen = Preconditions { uid: workload.uid(), resource_version: None };
            self.delete::<StatefulSet>(&workload.name_any(), seen).await?;
        }
        if let Some(claim) = found.claim.as_ref().filter(|claim| claim.metadata.deletion_timestamp.is_none())
        {
            let seen = Preconditions { uid: claim.uid(), resource_version: claim.resource_version() };
            self.delete::<PersistentVolumeClaim>(&claim.name_any(), seen).await?;
        }
        let note = "the storage was changed before any volume was bound: StatefulSet and claim are made anew";
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

/// Creates an object, unless somebody else has made one of the name.
async fn create(
    api: &Api<DynamicObject>,
    what: &str,
    name: &str,
    body: &Value,
) -> Result<DynamicObject, Error> {
    // A POST drops fields that Kubernetes does not know; an apply names them.
    let mut tried = PatchParams::apply(FIELD_MANAGER).force();
    tried.dry_run = true;
    api.patch(name, &tried, &Patch::Apply(body)).await.map_err(Error::kube(format!("create {what}")))?;
    let object: DynamicObject = serde_json::from_value(body.clone())
        .map_err(|error| Error::kube(format!("create {what}"))(kube::Error::SerdeError(error)))?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let created = api.create(&params, &object).await.map_err(Error::kube(format!("create {what}")))?;
    Ok(own_by_apply(api, what, name, &created.metadata).await?.unwrap_or(created))
}

/// What a POST has made belongs to us by "Update", and an apply that leaves a field out would not take it away. So it
/// becomes ours by "Apply", as Kubernetes' own csaupgrade does it.
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
    // Without a resourceVersion: controllers write statuses meanwhile. The tests see to it that the entry is the one meant.
    let patch = json!([
        { "op": "test", "path": "/metadata/uid", "value": metadata.uid },
        { "op": "test", "path": format!("{entry}/manager"), "value": FIELD_MANAGER },
        { "op": "test", "path": format!("{entry}/operation"), "value": "Update" },
        change,
    ]);
    let patch = serde_json::from_value(patch)
        .map_err(|error| Error::kube(format!("take the fields of {what}"))(kube::Error::SerdeError(error)))?;
    let patch = Patch::Json::<()>(patch);
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(owned) => Ok(Some(owned)),
        // A controller was faster, and the order of the entries is another. The next reconcile sees the new one.
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(None),
        Err(error) => Err(Error::kube(format!("take the fields of {what}"))(error)),
    }
}
