//! The default MessageBroker of an installation. Helm cannot create it: before Helm creates the first object of a
//! release, it looks up the kinds of all objects, and would not find a kind that the same release defines. So the
//! release contains a ConfigMap with the manifest, and a controller applies the manifest. It reacts at once to an edit
//! of either object, and to a deletion of the MessageBroker.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::{
    api::core::v1::{ConfigMap, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::Action,
        events::EventType,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use restante_crds::MessageBroker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    config::RunArgs,
    context::Context,
    reconcile::controller::drive,
    shared::{
        default_differs::{Difference, ManifestState},
        error::Error,
    },
};

/// The controller's name in metrics and log lines.
const KIND: &str = "DefaultBroker";
/// The key of the manifest in the ConfigMap.
const KEY: &str = "broker.yaml";
/// The field manager. It differs from the field manager of the other reconciles, which never write a spec.
const MANAGER: &str = "restante-operator-default-broker";

struct State {
    context: Arc<Context>,
    /// The last apply: the ConfigMap's version, and the editable part of the MessageBroker.
    applied: Mutex<Option<(Option<String>, ObjectMeta)>>,
    /// The last reported error. The same error is not reported again.
    reported: Mutex<Option<String>>,
    /// The UIDs of former default brokers that were reported as left behind.
    left_behind: Mutex<HashSet<Option<String>>>,
}

/// Applies the manifest of the named ConfigMap until `stop` is cancelled. A missing or malformed ConfigMap is reported,
/// and affects nothing else.
pub async fn keep(context: Arc<Context>, name: &str, stop: CancellationToken) {
    let namespace = context.args.namespace.clone();
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let watched = ObjectRef::<ConfigMap>::new(name).within(&namespace);
    let brokers = Api::<DeserializeGuard<MessageBroker>>::namespaced(context.client.clone(), &namespace);
    let controller = Controller::new(Api::<ConfigMap>::namespaced(context.client.clone(), &namespace), only)
        .watches(brokers, watcher::Config::default(), move |_| [watched.clone()])
        .graceful_shutdown_on(stop.cancelled_owned());
    let store = controller.store();
    let metrics = Arc::clone(&context.metrics);
    let state = Arc::new(State {
        context,
        applied: Mutex::default(),
        reported: Mutex::default(),
        left_behind: Mutex::default(),
    });
    let policy = |config_map: Arc<ConfigMap>, _: &Error, state: Arc<State>| {
        Action::requeue(state.context.backoffs.failed(&config_map.uid().unwrap_or_default()))
    };
    tokio::join!(
        drive(KIND, &metrics, controller.run(reconcile, policy, Arc::clone(&state))),
        report_missing(&state, &store, name)
    );
}

/// Reports a missing ConfigMap. No reconcile runs for it.
async fn report_missing(state: &State, store: &Store<ConfigMap>, name: &str) {
    if store.wait_until_ready().await.is_ok() && store.is_empty() {
        state.context.default_differs.set(ManifestState::Applied);
        state.context.metrics.reconcile_errors.with_label_values(&[KIND, "missing"]).inc();
        tracing::error!(
            "ConfigMap {name} (--default-broker-configmap) not found in namespace {}: there is no default \
             MessageBroker until it exists",
            state.context.args.namespace
        );
    }
}

async fn reconcile(config_map: Arc<ConfigMap>, state: Arc<State>) -> Result<Action, Error> {
    let action = state.context.measured(KIND, apply(&config_map, &state)).await?;
    state.context.backoffs.clear(&config_map.uid().unwrap_or_default());
    Ok(action)
}

async fn apply(config_map: &ConfigMap, state: &State) -> Result<Action, Error> {
    if config_map.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let context = &state.context;
    let namespace = &context.args.namespace;
    let (broker, manifest) = match build(config_map, namespace) {
        Ok(built) => built,
        Err(why) => {
            context.metrics.reconcile_errors.with_label_values(&[KIND, "malformed"]).inc();
            state.differs(config_map, name_in(config_map), "Malformed", why.clone());
            state.report(config_map, None, "DefaultBrokerMalformed", why).await;
            return Ok(Action::await_change());
        }
    };
    let brokers: Api<MessageBroker> = Api::namespaced(context.client.clone(), namespace);
    let there = brokers.get_metadata_opt(&broker).await;
    let there =
        there.map_err(Error::kube(format!("read MessageBroker {broker}")))?.map(|there| there.metadata);
    if there.as_ref().is_some_and(|there| state.is_applied(config_map, there)) {
        state.set_applied();
        return Ok(Action::await_change());
    }
    if there.is_none() && !still_exists(context, config_map).await? {
        // Helm deletes the ConfigMap, and then Kubernetes the MessageBroker. The watch may see the second deletion
        // first.
        return Ok(Action::await_change());
    }
    let reference = there.as_ref().map(|there| reference(&broker, namespace, there));
    let resource = ApiResource::erase::<MessageBroker>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), namespace, &resource);
    let params = PatchParams::apply(MANAGER).force();
    let applied = api.patch(&broker, &params, &Patch::Apply(&manifest)).await;
    match applied.map_err(Error::kube(format!("apply MessageBroker {broker} of {KEY}"))) {
        Ok(applied) => {
            tracing::info!(broker, "applied the default MessageBroker");
            state.has_applied(config_map, &applied.metadata);
            state.set_applied();
            state.report_left_behind(config_map, &broker).await;
            Ok(Action::await_change())
        }
        Err(error) => {
            if let Some(words) = error.refusal() {
                state.differs(config_map, Some(broker), "Refused", words.clone());
                state.report(config_map, reference, "DefaultBrokerRefused", words).await;
            }
            Err(error)
        }
    }
}

/// Whether the ConfigMap still exists and is not being deleted.
async fn still_exists(context: &Context, config_map: &ConfigMap) -> Result<bool, Error> {
    let name = config_map.name_any();
    let config_maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.args.namespace);
    let there =
        config_maps.get_metadata_opt(&name).await.map_err(Error::kube(format!("read ConfigMap {name}")))?;
    Ok(there
        .is_some_and(|there| there.uid() == config_map.uid() && there.metadata.deletion_timestamp.is_none()))
}

fn reference(broker: &str, namespace: &str, there: &ObjectMeta) -> ObjectReference {
    let mut reference: ObjectReference = ObjectRef::<MessageBroker>::new(broker).within(namespace).into();
    reference.uid = there.uid.clone();
    reference
}

impl State {
    /// Reports an error as an event of the ConfigMap, and of the MessageBroker if it exists.
    async fn report(
        &self,
        config_map: &ConfigMap,
        broker: Option<ObjectReference>,
        reason: &str,
        why: String,
    ) {
        let last = self.reported.lock().unwrap_or_else(PoisonError::into_inner).replace(why.clone());
        if last.as_ref() == Some(&why) {
            return;
        }
        let note = format!(
            "the manifest of the default MessageBroker in ConfigMap {} is not applied: {why}",
            config_map.name_any()
        );
        tracing::error!("{note}");
        if let Some(broker) = broker {
            self.context.events.publish_about(&broker, EventType::Warning, reason, note.clone(), None).await;
        }
        self.context.events.publish(config_map, EventType::Warning, reason, note).await;
    }

    /// Reports an error in the status of the MessageBroker, if it exists.
    fn differs(&self, config_map: &ConfigMap, broker: Option<String>, reason: &'static str, why: String) {
        let difference =
            Difference { config_map: config_map.name_any(), uid: config_map.uid(), broker, reason, why };
        self.context.metrics.default_broker_refused.set(1);
        let broker = difference.broker.clone();
        if let (true, Some(broker)) =
            (self.context.default_differs.set(ManifestState::Differs(difference)), broker)
        {
            // If the MessageBroker does not exist, the statuses of its channels say why.
            self.context.fleet.trigger_channels(&broker);
        }
    }

    fn set_applied(&self) {
        self.context.metrics.default_broker_refused.set(0);
        self.context.default_differs.set(ManifestState::Applied);
    }

    /// Reports MessageBrokers that the ConfigMap created under another name. They stay, with their channels, until a
    /// person deletes them.
    async fn report_left_behind(&self, config_map: &ConfigMap, broker: &str) {
        for other in self.context.brokers.state() {
            let is_its =
                other.owner_references().iter().any(|owner| Some(&owner.uid) == config_map.uid().as_ref());
            let (name, uid) = (other.name_any(), other.uid());
            if !is_its || name == broker {
                continue;
            }
            if !self.left_behind.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.clone()) {
                continue;
            }
            let note = format!(
                "the default MessageBroker is now {broker}. MessageBroker {name} stays, with its channels and its volume; \
                 delete it when no channel names it any more"
            );
            tracing::warn!("{note}");
            let metadata = ObjectMeta { uid, ..ObjectMeta::default() };
            let reference = reference(&name, &self.context.args.namespace, &metadata);
            self.context.events.publish_about(&reference, EventType::Warning, "LeftBehind", note, None).await;
        }
    }

    fn is_applied(&self, config_map: &ConfigMap, there: &ObjectMeta) -> bool {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        *applied == Some((config_map.resource_version(), editable_part(there)))
    }

    fn has_applied(&self, config_map: &ConfigMap, there: &ObjectMeta) {
        *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let applied = Some((config_map.resource_version(), editable_part(there)));
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
    }
}

/// Whether a MessageBroker comes from the chart's values, through this ConfigMap. Then manual edits are reverted.
pub fn is_from_values(broker: &ObjectMeta, args: &RunArgs) -> bool {
    let config_map = args.default_broker_configmap.as_ref();
    config_map.is_some_and(|name| {
        let owners = broker.owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.kind == "ConfigMap" && owner.name == *name)
    })
}

/// The metadata of a MessageBroker that an edit changes and a status write does not.
fn editable_part(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        owner_references: metadata.owner_references.clone(),
        ..ObjectMeta::default()
    }
}

/// The name in a manifest, even if the rest of the manifest is invalid.
fn name_in(config_map: &ConfigMap) -> Option<String> {
    let manifest: Value = serde_saphyr::from_str(config_map.data.as_ref()?.get(KEY)?).ok()?;
    manifest["metadata"]["name"].as_str().map(str::to_owned)
}

/// The name and the manifest of the MessageBroker, with the ConfigMap as its owner. The manifest is passed on
/// unchanged, so that the API server reports unknown fields.
fn build(config_map: &ConfigMap, namespace: &str) -> Result<(String, Value), String> {
    let text = config_map.data.as_ref().and_then(|data| data.get(KEY));
    let text = text.ok_or_else(|| format!("the key {KEY} is missing"))?;
    let malformed = |error: &str| format!("{KEY} is not a valid MessageBroker: {error}");
    let mut manifest: Value =
        serde_saphyr::from_str(text).map_err(|error| malformed(&error.without_snippet().to_string()))?;
    let broker: MessageBroker =
        serde_json::from_value(manifest.clone()).map_err(|error| malformed(&error.to_string()))?;
    let name = broker.metadata.name.ok_or_else(|| malformed("metadata.name is missing"))?;
    // The ConfigMap is not a controller and does not block: Kubernetes deletes the broker after the ConfigMap.
    let owner = config_map.owner_ref(&()).map(|owner| OwnerReference {
        controller: None,
        block_owner_deletion: None,
        ..owner
    });
    manifest["metadata"]["namespace"] = json!(namespace);
    manifest["metadata"]["ownerReferences"] = json!(owner.as_slice());
    if let Some(fields) = manifest.as_object_mut() {
        fields.remove("status");
    }
    Ok((name, manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(text: &str) -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": { "name": "cm", "namespace": "mq", "uid": "u1" },
            "data": { "broker.yaml": text },
        }))
        .unwrap()
    }

    #[test]
    fn the_broker_belongs_to_the_config_map() {
        let text =
            "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {name: main}\nspec: {x: 1}\n";
        let (name, broker) = build(&config_map(text), "mq").unwrap();
        assert_eq!((name.as_str(), &broker["metadata"]["namespace"]), ("main", &json!("mq")));
        let owner = &broker["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["name"]), (&json!("ConfigMap"), &json!("cm")));
        assert_eq!(owner.get("controller"), None);
        assert_eq!(
            broker["spec"],
            json!({ "x": 1 }),
            "the API server must see unknown fields to refuse them"
        );
    }

    #[test]
    fn the_error_of_an_invalid_manifest_names_its_cause() {
        let error = build(&config_map("spec: ["), "mq").unwrap_err();
        assert!(error.starts_with("broker.yaml is not a valid MessageBroker: "), "{error}");
        assert_eq!(name_in(&config_map("spec: [")), None);
        assert_eq!(name_in(&config_map("metadata: {name: main}\nspec: 1\n")).as_deref(), Some("main"));
        let error = build(&ConfigMap::default(), "mq").unwrap_err();
        assert_eq!(error, "the key broker.yaml is missing");
    }

    #[test]
    fn a_written_status_is_not_an_edit() {
        let metadata = |version: &str, generation: i64| ObjectMeta {
            resource_version: Some(version.into()),
            generation: Some(generation),
            ..ObjectMeta::default()
        };
        assert_eq!(editable_part(&metadata("5", 1)), editable_part(&metadata("6", 1)));
        assert_ne!(editable_part(&metadata("5", 1)), editable_part(&metadata("6", 2)));
    }
}
