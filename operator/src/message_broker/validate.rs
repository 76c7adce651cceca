//! Whether a MessageBroker can be served, and what it comes to. After this nobody reads the resource again. Pure.

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource, ResourceExt};
use restante_crds::{MessageBroker, message_broker::Storage};

use crate::{config::RunArgs, names};

/// A MessageBroker that can be served.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// Its name.
    pub name: String,
    /// The namespace of the children: its own, which is the operator's.
    pub namespace: String,
    /// What the children refer to.
    pub owner: OwnerReference,
    /// Pods.
    pub replicas: i32,
    /// The image of the pods.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: String,
    /// With what it is pulled.
    pub image_pull_secrets: Vec<String>,
    /// The volume.
    pub storage: Storage,
    /// CPU and memory.
    pub resources: ResourceRequirements,
    /// What the URLs of channels begin with, without a slash at the end.
    pub url: String,
}

/// Why a MessageBroker cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason of the condition.
    pub reason: &'static str,
    /// What to do.
    pub message: String,
}

/// Judges a MessageBroker.
pub fn validate(broker: &MessageBroker, args: &RunArgs) -> Result<Broker, Rejection> {
    let name = broker.name_any();
    let namespace = broker.namespace().unwrap_or_default();
    if namespace != args.namespace {
        return Err(Rejection {
            reason: "NamespaceNotServed",
            message: format!(
                "the operator serves MessageBrokers in its own namespace {} only: create it there",
                args.namespace
            ),
        });
    }
    let Some(owner) = broker.controller_owner_ref(&()) else {
        return Err(Rejection {
            reason: "Incomplete",
            message: "the resource has neither name nor UID".into(),
        });
    };
    let spec = &broker.spec;
    let url = spec.external_url.clone().unwrap_or_else(|| names::service_url(&name, &namespace));
    Ok(Broker {
        owner,
        replicas: spec.replicas,
        image: args.broker_image.clone(),
        image_pull_policy: args.broker_image_pull_policy.clone(),
        image_pull_secrets: args.broker_image_pull_secrets.clone(),
        storage: spec.engine.embedded.storage.clone(),
        resources: spec.template.resources.requirements(),
        url: url.trim_end_matches('/').to_owned(),
        name,
        namespace,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Cli;

    pub(in crate::message_broker) fn broker(namespace: &str, spec: Value) -> MessageBroker {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageBroker",
            "metadata": { "name": "default", "namespace": namespace, "uid": "u1", "generation": 2 },
            "spec": spec,
        }))
        .unwrap()
    }

    pub(in crate::message_broker) fn args() -> RunArgs {
        Cli::parse_from(["restante-operator", "--namespace", "mq", "--broker-image", "broker:1"]).run
    }

    #[test]
    fn the_url_is_the_service_unless_another_is_given() {
        let valid = validate(&broker("mq", json!({})), &args()).unwrap();
        assert_eq!(valid.url, "http://restante-default.mq.svc:8080");
        let outside = json!({ "externalURL": "https://mq.example.com/" });
        assert_eq!(validate(&broker("mq", outside), &args()).unwrap().url, "https://mq.example.com");
    }

    #[test]
    fn a_broker_in_another_namespace_is_told_where_to_go() {
        let rejection = validate(&broker("elsewhere", json!({})), &args()).unwrap_err();
        assert_eq!(rejection.reason, "NamespaceNotServed");
        assert!(rejection.message.contains("namespace mq"), "{}", rejection.message);
    }
}
