//! Validates a MessageBroker and fills in defaults. The later steps read only the result, not the resource. Pure.

use std::{collections::HashSet, net::IpAddr};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use restante_crds::{
    MessageBroker,
    message_broker::{PodTemplate, PullPolicy, Storage},
};

use super::ownership::Parent;
use crate::{
    config::{BrokerUsers, RunArgs},
    names,
};

/// The user of the broker's image.
const USER: i64 = 65_532;

/// A valid MessageBroker.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    pub name: String,
    /// The namespace of the MessageBroker, its children and the operator.
    pub namespace: String,
    /// The owner reference of the children.
    pub owner: OwnerReference,
    /// The number of pods.
    pub replicas: i32,
    pub image: String,
    pub image_pull_policy: String,
    /// Without duplicates.
    pub image_pull_secrets: Vec<String>,
    /// The user of the pods; `None` if the cluster chooses it.
    pub user: Option<i64>,
    /// The group of the pods.
    pub group: Option<i64>,
    /// The group of the volume.
    pub fs_group: Option<i64>,
    /// The other settings of the pods.
    pub template: PodTemplate,
    /// The number of worker threads.
    pub cores: i32,
    pub storage: Storage,
    /// The prefix of the channels' URLs, without a slash at the end.
    pub url: String,
    /// The allowed values of `Host` besides IP addresses and localhost, without duplicates.
    pub allowed_hosts: Vec<String>,
    /// The allowed values of `Origin`.
    pub allowed_origins: Vec<String>,
    /// The URL for clients outside the cluster, if the spec has one.
    pub external_url: Option<String>,
    pub trusted_proxies: Vec<String>,
    /// The maximum idle time of a connection, in seconds.
    pub keep_alive_seconds: i32,
}

impl Broker {
    pub fn parent(&self) -> Parent<'_> {
        Parent { name: &self.name, namespace: &self.namespace, owner: &self.owner }
    }
}

/// Why a MessageBroker is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason of the condition.
    pub reason: &'static str,
    pub message: String,
}

pub fn validate(broker: &MessageBroker, args: &RunArgs) -> Result<Broker, Rejection> {
    let name = broker.name_any();
    let namespace = broker.namespace().unwrap_or_default();
    let Some(owner) = broker.controller_owner_ref(&()) else {
        return Err(Rejection { reason: "Incomplete", message: "the resource has no name or no UID".into() });
    };
    let spec = &broker.spec;
    let template = spec.template.clone();
    let users = template.security_context.clone().unwrap_or_default();
    let default = match args.broker_users {
        BrokerUsers::Image => Some(USER),
        BrokerUsers::Cluster => None,
    };
    let url = spec.external_url.clone().unwrap_or_else(|| names::service_url(&name, &namespace));
    Ok(Broker {
        owner,
        replicas: spec.replicas,
        image: template.image.clone().unwrap_or_else(|| args.broker_image.clone()),
        image_pull_policy: template.image_pull_policy.map_or_else(
            || args.broker_image_pull_policy.clone(),
            |policy: PullPolicy| policy.as_str().to_owned(),
        ),
        image_pull_secrets: once(
            args.broker_image_pull_secrets
                .iter()
                .cloned()
                .chain(template.image_pull_secrets.iter().map(|secret| secret.name.clone())),
        ),
        user: users.run_as_user.or(default),
        group: users.run_as_group.or(default),
        fs_group: users.fs_group.or(default),
        template,
        cores: spec.engine.embedded.cores,
        storage: spec.engine.embedded.storage.clone(),
        url: url.trim_end_matches('/').to_owned(),
        allowed_hosts: allowed_hosts(broker, &name, &namespace),
        allowed_origins: spec.allowed_origins.clone(),
        external_url: spec.external_url.as_deref().and_then(normalized),
        trusted_proxies: spec.trusted_proxies.clone(),
        keep_alive_seconds: spec.keep_alive_seconds,
        name,
        namespace,
    })
}

fn allowed_hosts(broker: &MessageBroker, name: &str, namespace: &str) -> Vec<String> {
    let mut hosts = Vec::from(names::service_hosts(name, namespace));
    hosts.extend(names::pod_hosts(name, namespace));
    hosts.extend(broker.spec.external_url.as_deref().and_then(host_name));
    hosts.extend(broker.spec.allowed_hosts.iter().cloned());
    once(hosts)
}

/// Removes duplicates, and keeps the order.
fn once(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

/// A URL in the form of the broker's flag, with non-ASCII characters encoded.
fn normalized(url: &str) -> Option<String> {
    reqwest::Url::parse(url).ok().map(String::from)
}

/// The host of a URL as a client sends it: in lower case, without the port. `None` for an IP address, which is always
/// allowed.
fn host_name(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?;
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    // A comma would separate two names in the flag.
    (!is_address && !host.contains(',')).then(|| host.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Cli;

    pub(in crate::kinds::broker) fn broker(namespace: &str, spec: Value) -> MessageBroker {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageBroker",
            "metadata": { "name": "default", "namespace": namespace, "uid": "u1", "generation": 2 },
            "spec": spec,
        }))
        .unwrap()
    }

    pub(in crate::kinds::broker) fn args() -> RunArgs {
        Cli::parse_from(["restante-operator", "--namespace", "mq", "--broker-image", "broker:1"]).run
    }

    #[test]
    fn the_url_defaults_to_the_service() {
        let valid = validate(&broker("mq", json!({})), &args()).unwrap();
        assert_eq!(valid.url, "http://restante-default.mq.svc:8080");
        let outside = json!({ "externalURL": "https://mq.example.com/" });
        assert_eq!(validate(&broker("mq", outside), &args()).unwrap().url, "https://mq.example.com");
    }

    #[test]
    fn allowed_hosts_are_the_service_the_pod_the_external_host_and_the_listed_names() {
        let hosts = |spec| validate(&broker("mq", spec), &args()).unwrap().allowed_hosts;
        let service = [
            "restante-default",
            "restante-default.mq",
            "restante-default.mq.svc",
            "restante-default.mq.svc.cluster.local",
            "restante-default-0.restante-default-headless",
            "restante-default-0.restante-default-headless.mq",
            "restante-default-0.restante-default-headless.mq.svc",
            "restante-default-0.restante-default-headless.mq.svc.cluster.local",
        ];
        assert_eq!(hosts(json!({})), service);
        let listed = json!({
            "externalURL": "https://MQ.example.com:8443/base/",
            "allowedHosts": ["mq.example.com", "mq.internal", "restante-default"],
        });
        assert_eq!(hosts(listed), [&service[..], &["mq.example.com", "mq.internal"]].concat());
        for no_name in ["http://10.0.0.1:8080", "http://[fd00::1]:8080", "http://a,b", "http://%zz"] {
            assert_eq!(hosts(json!({ "externalURL": no_name })), service, "{no_name}");
        }
    }

    #[test]
    fn the_image_defaults_to_the_operator_s() {
        let image = |spec| {
            let valid = validate(&broker("mq", spec), &args()).unwrap();
            (valid.image, valid.image_pull_policy)
        };
        assert_eq!(image(json!({})), ("broker:1".into(), "IfNotPresent".into()));
        let given =
            json!({ "template": { "image": "mirror/broker@sha256:00", "imagePullPolicy": "Always" } });
        assert_eq!(image(given), ("mirror/broker@sha256:00".into(), "Always".into()));
    }

    #[test]
    fn pull_secrets_of_operator_and_resource_are_merged() {
        let mut args = args();
        args.broker_image_pull_secrets = vec!["a".into(), "b".into()];
        let spec = json!({ "template": { "imagePullSecrets": [{ "name": "b" }, { "name": "c" }] } });
        assert_eq!(validate(&broker("mq", spec), &args).unwrap().image_pull_secrets, ["a", "b", "c"]);
    }

    #[test]
    fn the_user_is_the_resource_s_or_the_image_s_or_the_cluster_s() {
        let users = |spec, args: &RunArgs| {
            let valid = validate(&broker("mq", spec), args).unwrap();
            (valid.user, valid.group, valid.fs_group)
        };
        let given = || json!({ "template": { "securityContext": { "runAsUser": 1000, "fsGroup": 2000 } } });
        assert_eq!(users(json!({}), &args()), (Some(USER), Some(USER), Some(USER)));
        assert_eq!(users(given(), &args()), (Some(1000), Some(USER), Some(2000)));
        let mut cluster = args();
        cluster.broker_users = BrokerUsers::Cluster;
        assert_eq!(users(json!({}), &cluster), (None, None, None));
        assert_eq!(users(given(), &cluster), (Some(1000), None, Some(2000)));
    }
}
