//! The MessageBroker that an installation comes with. Helm cannot make it: it looks up the kind of every object of a
//! release before it makes the first, and would not find a kind that the same release defines.

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use restante_crds::MessageBroker;

use crate::{context::Context, error::Error};

/// The key of the manifest in the ConfigMap.
const KEY: &str = "broker.yaml";
/// The field manager: another than the reconciles', which never write a spec.
const MANAGER: &str = "restante-operator-default-broker";

/// Why there is no default MessageBroker.
#[derive(Debug, thiserror::Error)]
pub enum DefaultBrokerError {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Operator(#[from] Error),
    /// The ConfigMap is not there, or lacks the key.
    #[error(
        "ConfigMap {0} (--default-broker-configmap) has no key {KEY}, or does not exist in the operator's namespace"
    )]
    Missing(String),
    /// The manifest is none.
    #[error("{KEY} in ConfigMap {name} (--default-broker-configmap) is no MessageBroker: {error}")]
    Malformed {
        /// The ConfigMap.
        name: String,
        /// What is wrong with it.
        error: String,
    },
}

/// Applies the MessageBroker of the ConfigMap, which owns it from then on.
///
/// What the API server refuses (a changed storage, for example) is logged and told by an event: other brokers must not go
/// unserved for it.
pub async fn apply(context: &Context, name: &str) -> Result<(), DefaultBrokerError> {
    let namespace = &context.args.namespace;
    let config_maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let config_map = config_maps
        .get_opt(name)
        .await
        .map_err(Error::kube(format!("read ConfigMap {name}")))?
        .ok_or_else(|| DefaultBrokerError::Missing(name.to_owned()))?;
    let broker = build(&config_map, namespace)?;
    let brokers: Api<MessageBroker> = Api::namespaced(context.client.clone(), namespace);
    let broker_name = broker.name_any();
    match brokers.patch(&broker_name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&broker)).await {
        Ok(_) => {
            tracing::info!(broker = broker_name, "the default MessageBroker is as the installation wants it");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 422 => {
            let note = format!(
                "the default MessageBroker {broker_name} is not as {KEY} wants it: {}",
                status.message
            );
            tracing::error!("{note}");
            context.events.publish(&config_map, EventType::Warning, "DefaultBrokerRefused", note).await;
            Ok(())
        }
        Err(error) => Err(Error::kube(format!("apply MessageBroker {broker_name}"))(error).into()),
    }
}

fn build(config_map: &ConfigMap, namespace: &str) -> Result<MessageBroker, DefaultBrokerError> {
    let name = config_map.name_any();
    let text = config_map.data.as_ref().and_then(|data| data.get(KEY));
    let text = text.ok_or_else(|| DefaultBrokerError::Missing(name.clone()))?;
    let mut broker: MessageBroker = serde_saphyr::from_str(text).map_err(|error| {
        DefaultBrokerError::Malformed { name, error: error.without_snippet().to_string() }
    })?;
    broker.metadata.namespace = Some(namespace.to_owned());
    // Not as a controller, and without blocking: Kubernetes deletes the broker after the ConfigMap is gone.
    broker.metadata.owner_references = config_map
        .owner_ref(&())
        .map(|owner| vec![OwnerReference { controller: None, block_owner_deletion: None, ..owner }]);
    broker.status = None;
    Ok(broker)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {name: main}\nspec: {}\n";
        let broker = build(&config_map(text), "mq").unwrap();
        assert_eq!((broker.name_any().as_str(), broker.namespace().as_deref()), ("main", Some("mq")));
        let owner = &broker.metadata.owner_references.unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.controller), ("ConfigMap", "cm", None));
    }

    #[test]
    fn what_is_no_broker_is_named() {
        let error = build(&config_map("spec: ["), "mq").unwrap_err().to_string();
        assert!(error.contains("ConfigMap cm"), "{error}");
        let empty = ConfigMap::default();
        assert!(matches!(build(&empty, "mq"), Err(DefaultBrokerError::Missing(_))));
    }
}
