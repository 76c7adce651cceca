//! The children of a MessageBroker. Pure.

use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::StatefulSet,
        core::v1::{Secret, Service, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{dereference::Credential, validate::Broker};
use crate::names::{self, ADMIN_PORT, CONTROL_PORT, DATA_PORT, TOKEN_KEY};

/// The user of the broker's image, which owns nothing else on any node.
const USER: i64 = 65_532;
/// How long a pod may drain, in seconds: the open requests get this long to end.
const DRAIN_SECONDS: i64 = 20;
/// How long Kubernetes waits before it kills, in seconds: the drain, a last flush, and room for a slow disk.
const GRACE_SECONDS: i64 = 45;
/// How long a starting pod waits for the lock of the one that it replaces, in seconds.
const LOCK_WAIT_SECONDS: i64 = GRACE_SECONDS;
/// How long recovery may take before the pod is started again: 300 × 2 s, ten minutes, some terabytes of log.
const STARTUP_PROBES: i32 = 300;
/// Where the volume is mounted. The data folder lies in it: a volume's own root may hold `lost+found`.
const VOLUME_PATH: &str = "/var/lib/restante";
/// Where the credential is mounted.
const CREDENTIAL_PATH: &str = "/var/run/secrets/restante.dev/control";
/// The name of the volume, and so the beginning of the claim's.
const VOLUME: &str = "data";

const _: () = assert!(GRACE_SECONDS > DRAIN_SECONDS);

/// Everything that a MessageBroker owns.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// An identity without rights: the broker never talks to Kubernetes.
    pub service_account: ServiceAccount,
    /// The control credential.
    pub credential: Secret,
    /// Names for pods.
    pub headless: Service,
    /// What clients use.
    pub service: Service,
    /// The pods and their claims.
    pub workload: StatefulSet,
}

/// Builds all of them.
pub fn children(broker: &Broker, credential: &Credential) -> Children {
    Children {
        service_account: ServiceAccount {
            metadata: metadata(broker, names::workload(&broker.name)),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
        credential: secret(broker, credential),
        headless: headless(broker),
        service: service(broker),
        workload: workload(broker, credential),
    }
}

fn metadata(broker: &Broker, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(broker.namespace.clone()),
        labels: Some(names::labels(&broker.name)),
        owner_references: Some(vec![broker.owner.clone()]),
        ..ObjectMeta::default()
    }
}

fn secret(broker: &Broker, credential: &Credential) -> Secret {
    Secret {
        metadata: metadata(broker, names::credential(&broker.name)),
        // Each time, and as it was read: what an apply leaves out, the API server takes away.
        data: Some([(TOKEN_KEY.to_owned(), ByteString(credential.0.clone().into_bytes()))].into()),
        ..Secret::default()
    }
}

fn headless(broker: &Broker) -> Service {
    let mut service = Service {
        metadata: metadata(broker, names::headless(&broker.name)),
        // A pod has its name before it is ready: it becomes ready by being programmed.
        spec: typed(json!({
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": names::selector(&broker.name),
            "ports": [
                { "name": "http", "port": DATA_PORT, "targetPort": "http", "protocol": "TCP" },
                { "name": "admin", "port": ADMIN_PORT, "targetPort": "admin", "protocol": "TCP" },
                { "name": "control", "port": CONTROL_PORT, "targetPort": "control", "protocol": "TCP" },
            ],
        })),
        ..Service::default()
    };
    let labels = service.metadata.labels.get_or_insert_default();
    // Both Services select the same pods; what scrapes by Service labels must find them once.
    labels.insert("restante.dev/service".into(), "headless".into());
    service
}

fn service(broker: &Broker) -> Service {
    Service {
        metadata: metadata(broker, names::workload(&broker.name)),
        spec: typed(json!({
            "type": "ClusterIP",
            "selector": names::selector(&broker.name),
            "ports": [{ "name": "http", "port": DATA_PORT, "targetPort": "http", "protocol": "TCP" }],
        })),
        ..Service::default()
    }
}

fn workload(broker: &Broker, credential: &Credential) -> StatefulSet {
    let name = names::workload(&broker.name);
    let probe = |path: &str, period: i32, failures: i32| {
        json!({
            "httpGet": { "path": path, "port": "admin" },
            "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures,
        })
    };
    let pull_secrets: Vec<_> = broker.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let mut arguments = vec![
        format!("--listen=0.0.0.0:{DATA_PORT}"),
        format!("--admin-listen=0.0.0.0:{ADMIN_PORT}"),
        format!("--control-listen=0.0.0.0:{CONTROL_PORT}"),
        format!("--control-token-file={CREDENTIAL_PATH}/{TOKEN_KEY}"),
        format!("--data-dir={VOLUME_PATH}/data"),
        format!("--lock-wait={LOCK_WAIT_SECONDS}"),
        format!("--drain-seconds={DRAIN_SECONDS}"),
        format!("--cores={}", broker.cores),
        format!("--allowed-hosts={}", broker.allowed_hosts.join(",")),
        format!("--keep-alive={}", broker.keep_alive_seconds),
        "--log-format=json".to_owned(),
    ];
    if let Some(url) = &broker.external_url {
        arguments.push(format!("--external-url={url}"));
    }
    if !broker.trusted_proxies.is_empty() {
        arguments.push(format!("--trusted-proxies={}", broker.trusted_proxies.join(",")));
    }
    if !broker.allowed_origins.is_empty() {
        arguments.push(format!("--allowed-origins={}", broker.allowed_origins.join(",")));
    }
    StatefulSet {
        metadata: metadata(broker, name.clone()),
        spec: typed(json!({
            "serviceName": names::headless(&broker.name),
            "replicas": broker.replicas,
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": names::selector(&broker.name) },
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
            "volumeClaimTemplates": [{
                "metadata": { "name": VOLUME, "labels": names::selector(&broker.name) },
                "spec": {
                    "accessModes": [broker.storage.access_mode.as_str()],
                    "resources": { "requests": { "storage": broker.storage.size } },
                    "storageClassName": broker.storage.storage_class_name,
                },
            }],
            "template": {
                "metadata": {
                    "labels": names::labels(&broker.name),
                    "annotations": {
                        // Another credential needs another process.
                        "restante.dev/credential": fingerprint(&credential.0),
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": ADMIN_PORT.to_string(),
                        "prometheus.io/path": "/metrics",
                    },
                },
                "spec": {
                    "serviceAccountName": name,
                    "automountServiceAccountToken": false,
                    // A Service called restante would put RESTANTE_PORT into the pod, and the flags are RESTANTE_….
                    "enableServiceLinks": false,
                    "imagePullSecrets": pull_secrets,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "containers": [{
                        "name": "broker",
                        "image": broker.image,
                        "imagePullPolicy": broker.image_pull_policy,
                        "args": arguments,
                        "ports": [
                            { "name": "http", "containerPort": DATA_PORT, "protocol": "TCP" },
                            { "name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP" },
                            { "name": "control", "containerPort": CONTROL_PORT, "protocol": "TCP" },
                        ],
                        "resources": broker.resources,
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "runAsNonRoot": true,
                            "capabilities": { "drop": ["ALL"] },
                        },
                        "startupProbe": probe("/livez", 2, STARTUP_PROBES),
                        "livenessProbe": probe("/livez", 10, 6),
                        "readinessProbe": probe("/readyz", 2, 3),
                        "volumeMounts": [
                            { "name": VOLUME, "mountPath": VOLUME_PATH },
                            { "name": "control", "mountPath": CREDENTIAL_PATH, "readOnly": true },
                        ],
                    }],
                    "volumes": [{
                        "name": "control",
                        "secret": { "secretName": names::credential(&broker.name), "defaultMode": 0o440 },
                    }],
                },
            },
        })),
        ..StatefulSet::default()
    }
}

/// The first digits of the credential's hash: enough to tell two apart, and nothing to guess it from.
fn fingerprint(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A part of an object, written as Kubernetes' documentation writes it.
fn typed<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Option<T> {
    Some(serde_json::from_value(value).expect("the fields above are those of the type; a test builds each"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message_broker::validate::{
        tests::{args, broker},
        validate,
    };

    fn built(credential: &Credential) -> Children {
        children(&validate(&broker("mq", json!({})), &args()).unwrap(), credential)
    }

    fn kept() -> Credential {
        Credential("t".repeat(64))
    }

    #[test]
    fn every_child_is_owned_and_named_after_its_broker() {
        let children = built(&kept());
        for metadata in [
            &children.service_account.metadata,
            &children.credential.metadata,
            &children.headless.metadata,
            &children.service.metadata,
            &children.workload.metadata,
        ] {
            let owner = &metadata.owner_references.as_ref().unwrap()[0];
            assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("MessageBroker", "default"));
            assert!(metadata.name.as_ref().unwrap().starts_with("restante-default"));
            assert_eq!(metadata.namespace.as_deref(), Some("mq"));
        }
    }

    #[test]
    fn the_secret_always_holds_the_credential() {
        assert_eq!(built(&kept()).credential.data.unwrap()[TOKEN_KEY].0, "t".repeat(64).into_bytes());
    }

    #[test]
    fn the_same_broker_builds_the_same_children() {
        assert_eq!(built(&kept()), built(&kept()));
        assert_ne!(built(&kept()).workload, built(&Credential("other".into())).workload);
    }

    #[test]
    fn the_pods_keep_to_the_restricted_profile_and_the_claims_are_kept() {
        let spec = built(&kept()).workload.spec.unwrap();
        let pod = spec.template.spec.unwrap();
        let security = pod.security_context.unwrap();
        assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65_532)));
        assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
        let container = pod.containers[0].security_context.clone().unwrap();
        assert_eq!(container.allow_privilege_escalation, Some(false));
        assert_eq!(container.read_only_root_filesystem, Some(true));
        assert_eq!(container.capabilities.unwrap().drop.unwrap(), ["ALL"]);
        assert_eq!(pod.automount_service_account_token, Some(false));
        let retention = spec.persistent_volume_claim_retention_policy.unwrap();
        assert_eq!(
            (retention.when_deleted.as_deref(), retention.when_scaled.as_deref()),
            (Some("Retain"), Some("Retain"))
        );
    }

    #[test]
    fn the_broker_has_the_cores_that_its_resource_names() {
        let flags = |spec| {
            let children = children(&validate(&broker("mq", spec), &args()).unwrap(), &kept());
            children.workload.spec.unwrap().template.spec.unwrap().containers[0].args.clone().unwrap()
        };
        assert!(flags(json!({})).contains(&"--cores=1".to_owned()));
        let four = flags(json!({ "engine": { "embedded": { "cores": 4 } } }));
        assert!(four.contains(&"--cores=4".to_owned()), "{four:?}");
    }

    #[test]
    fn the_broker_is_told_its_names_and_the_pages_that_may_use_it() {
        let flags = |spec| {
            let children = children(&validate(&broker("mq", spec), &args()).unwrap(), &kept());
            let pod = children.workload.spec.unwrap().template.spec.unwrap();
            let flags = pod.containers[0].args.clone().unwrap().into_iter();
            flags.filter(|flag| flag.starts_with("--allowed-")).collect::<Vec<_>>()
        };
        let hosts = "--allowed-hosts=restante-default,restante-default.mq,restante-default.mq.svc,\
                     restante-default.mq.svc.cluster.local,\
                     restante-default-0.restante-default-headless,\
                     restante-default-0.restante-default-headless.mq,\
                     restante-default-0.restante-default-headless.mq.svc,\
                     restante-default-0.restante-default-headless.mq.svc.cluster.local";
        assert_eq!(flags(json!({})), [hosts]);
        let spec = json!({
            "allowedHosts": ["mq.internal"],
            "allowedOrigins": ["https://app.example.com", "http://localhost:3000"],
        });
        let told = [
            &format!("{hosts},mq.internal"),
            "--allowed-origins=https://app.example.com,http://localhost:3000",
        ];
        assert_eq!(flags(spec), told);
    }

    #[test]
    fn what_stands_before_the_broker_is_told_to_it() {
        let arguments = |spec| {
            let valid = validate(&broker("mq", spec), &args()).unwrap();
            let children = children(&valid, &Credential("token".into()));
            children.workload.spec.unwrap().template.spec.unwrap().containers.remove(0).args.unwrap()
        };
        let of_nothing = arguments(json!({}));
        assert!(of_nothing.contains(&"--keep-alive=620".to_owned()), "{of_nothing:?}");
        let absent = |flag: &str| !of_nothing.iter().any(|argument| argument.starts_with(flag));
        assert!(absent("--external-url") && absent("--trusted-proxies"), "{of_nothing:?}");
        let of_all = arguments(json!({
            "externalURL": "https://example.com/mq",
            "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
            "keepAliveSeconds": 4000,
        }));
        for flag in [
            "--keep-alive=4000",
            "--external-url=https://example.com/mq",
            "--trusted-proxies=10.0.0.0/8,fd00::/8",
        ] {
            assert!(of_all.contains(&flag.to_owned()), "{flag}: {of_all:?}");
        }
    }
}
