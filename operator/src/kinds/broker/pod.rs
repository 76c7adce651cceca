//! The pod of a broker: its flags, its container, and the settings from `spec.template`. Pure.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{dereference::Credential, validate::Broker};
use crate::names::{self, ADMIN_PORT, CONTROL_PORT, DATA_PORT, TOKEN_KEY, VOLUME};

/// Time for open requests to end after SIGTERM, in seconds.
const DRAIN_SECONDS: i64 = 20;
/// Time before Kubernetes kills the pod, in seconds: the drain, a last flush, and reserve for a slow disk.
const GRACE_SECONDS: i64 = 45;
/// How long a starting pod waits for the lock of the one that it replaces, in seconds.
const LOCK_WAIT_SECONDS: i64 = GRACE_SECONDS;
/// The limit of start-up probes before a restart: 300 × 2 s is ten minutes, enough to recover some terabytes of log.
const STARTUP_PROBES: i32 = 300;
/// The mount path of the volume. The data folder is a folder in it, because the root of a volume may contain
/// `lost+found`.
const VOLUME_PATH: &str = "/var/lib/restante";
/// The mount path of the credential.
const CREDENTIAL_PATH: &str = "/var/run/secrets/restante.dev/control";

const _: () = assert!(GRACE_SECONDS > DRAIN_SECONDS);

/// The template of the pods.
pub(super) fn template(broker: &Broker, credential: &Credential) -> Value {
    json!({ "metadata": metadata(broker, credential), "spec": spec(broker) })
}

fn metadata(broker: &Broker, credential: &Credential) -> Value {
    // The resource may override the annotations for scraping. Its CEL rules refuse annotations of the operator.
    let mut annotations = json!({
        "prometheus.io/scrape": "true",
        "prometheus.io/port": ADMIN_PORT.to_string(),
        "prometheus.io/path": "/metrics",
    });
    for (key, value) in &broker.template.annotations {
        annotations[key] = json!(value);
    }
    // A new credential requires a restart.
    annotations["restante.dev/credential"] = json!(fingerprint(&credential.0));
    let mut labels = broker.template.labels.clone();
    labels.extend(names::labels(&broker.name));
    json!({ "labels": labels, "annotations": annotations })
}

fn spec(broker: &Broker) -> Value {
    let template = &broker.template;
    let mut spec = json!({
        "serviceAccountName": names::workload(&broker.name),
        "automountServiceAccountToken": false,
        // A Service named restante would set RESTANTE_PORT in the pod, and the broker's flags are RESTANTE_….
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security(broker),
        "containers": [container(broker)],
        "volumes": [{
            "name": "control",
            "secret": { "secretName": names::credential(&broker.name), "defaultMode": 0o440 },
        }],
    });
    let pull_secrets: Vec<_> = broker.image_pull_secrets.iter().map(|name| json!({ "name": name })).collect();
    let given = [
        ("imagePullSecrets", json!(pull_secrets)),
        ("nodeSelector", json!(template.node_selector)),
        ("tolerations", json!(template.tolerations)),
        ("affinity", json!(template.affinity)),
        ("topologySpreadConstraints", json!(template.topology_spread_constraints)),
        ("priorityClassName", json!(template.priority_class_name)),
    ];
    for (field, value) in given.into_iter().filter(|(_, value)| !is_empty(value)) {
        spec[field] = value;
    }
    spec
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The restricted profile, without users if the cluster chooses them.
fn security(broker: &Broker) -> Value {
    let mut security = json!({
        "runAsNonRoot": true,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let users = [("runAsUser", broker.user), ("runAsGroup", broker.group), ("fsGroup", broker.fs_group)];
    for (field, id) in users {
        if let Some(id) = id {
            security[field] = json!(id);
        }
    }
    security
}

fn container(broker: &Broker) -> Value {
    let probe = |path: &str, period: i32, failures: i32| {
        json!({
            "httpGet": { "path": path, "port": "admin" },
            "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures,
        })
    };
    json!({
        "name": "broker",
        "image": broker.image,
        "imagePullPolicy": broker.image_pull_policy,
        "args": arguments(broker),
        "ports": [
            { "name": "http", "containerPort": DATA_PORT, "protocol": "TCP" },
            { "name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP" },
            { "name": "control", "containerPort": CONTROL_PORT, "protocol": "TCP" },
        ],
        "resources": broker.template.resources.requirements(),
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
    })
}

fn arguments(broker: &Broker) -> Vec<String> {
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
    arguments
}

/// The first digits of the credential's hash: enough to detect a change, useless for guessing the credential.
fn fingerprint(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodTemplateSpec;

    use super::*;
    use crate::{
        config::BrokerUsers,
        kinds::broker::validate::{
            tests::{args, broker},
            validate,
        },
    };

    fn made(spec: Value) -> Value {
        template(&validate(&broker("mq", spec), &args()).unwrap(), &Credential("t".into()))
    }

    fn flags(spec: Value) -> Vec<String> {
        serde_json::from_value(made(spec)["spec"]["containers"][0]["args"].clone()).unwrap()
    }

    #[test]
    fn the_pods_satisfy_the_restricted_profile() {
        let made: PodTemplateSpec = serde_json::from_value(made(json!({}))).unwrap();
        let pod = made.spec.unwrap();
        let security = pod.security_context.unwrap();
        assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65_532)));
        assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
        let container = pod.containers[0].security_context.clone().unwrap();
        assert_eq!(container.allow_privilege_escalation, Some(false));
        assert_eq!(container.read_only_root_filesystem, Some(true));
        assert_eq!(container.capabilities.unwrap().drop.unwrap(), ["ALL"]);
        assert_eq!(pod.automount_service_account_token, Some(false));
    }

    #[test]
    fn no_user_is_set_if_the_cluster_chooses_it() {
        let mut args = args();
        args.broker_users = BrokerUsers::Cluster;
        let valid = validate(&broker("mq", json!({})), &args).unwrap();
        let security = template(&valid, &Credential("t".into()))["spec"]["securityContext"].take();
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(security.get(field), None, "{security}");
        }
        assert_eq!(security["runAsNonRoot"], true);
    }

    #[test]
    fn the_pod_contains_the_fields_of_the_template_and_no_others() {
        let none = made(json!({}));
        for field in ["imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName"] {
            assert_eq!(none["spec"].get(field), None, "{none}");
        }
        let given = json!({
            "image": "mirror/broker:2",
            "imagePullPolicy": "Never",
            "imagePullSecrets": [{ "name": "pull" }],
            "annotations": { "a": "b", "prometheus.io/scrape": "false" },
            "labels": { "team": "mail" },
            "nodeSelector": { "disk": "fast" },
            "tolerations": [{ "key": "disk", "operator": "Exists" }],
            "affinity": { "nodeAffinity": {} },
            "topologySpreadConstraints": [{ "maxSkew": 1 }],
            "priorityClassName": "high",
            "securityContext": { "runAsUser": 1000 },
        });
        let pod = made(json!({ "template": given }));
        let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
        assert_eq!(metadata["annotations"]["a"], "b");
        assert_eq!(metadata["annotations"]["prometheus.io/scrape"], "false");
        assert_eq!(metadata["labels"]["team"], "mail");
        assert_eq!(metadata["labels"]["restante.dev/broker"], "default");
        assert_eq!(spec["containers"][0]["image"], "mirror/broker:2");
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Never");
        assert_eq!(spec["securityContext"]["runAsUser"], 1000);
        for field in [
            "imagePullSecrets",
            "nodeSelector",
            "tolerations",
            "affinity",
            "topologySpreadConstraints",
            "priorityClassName",
        ] {
            assert_eq!(spec[field], given[field], "{field}");
        }
    }

    #[test]
    fn the_template_never_overrides_the_operator_s_labels_and_annotations() {
        let template = json!({
            "annotations": { "restante.dev/credential": "x" },
            "labels": { "restante.dev/broker": "x" },
        });
        let (own, given) = (made(json!({})), made(json!({ "template": template })));
        assert_eq!(given["metadata"], own["metadata"]);
    }

    #[test]
    fn the_flag_cores_comes_from_the_resource() {
        assert!(flags(json!({})).contains(&"--cores=1".to_owned()));
        let four = flags(json!({ "engine": { "embedded": { "cores": 4 } } }));
        assert!(four.contains(&"--cores=4".to_owned()), "{four:?}");
    }

    #[test]
    fn the_flags_contain_the_allowed_hosts_and_origins() {
        let allowed = |spec| {
            let mut flags = flags(spec);
            flags.retain(|flag| flag.starts_with("--allowed-"));
            flags
        };
        let hosts = "--allowed-hosts=restante-default,restante-default.mq,restante-default.mq.svc,\
                     restante-default.mq.svc.cluster.local,\
                     restante-default-0.restante-default-headless,\
                     restante-default-0.restante-default-headless.mq,\
                     restante-default-0.restante-default-headless.mq.svc,\
                     restante-default-0.restante-default-headless.mq.svc.cluster.local";
        assert_eq!(allowed(json!({})), [hosts]);
        let spec = json!({
            "allowedHosts": ["mq.internal"],
            "allowedOrigins": ["https://app.example.com", "http://localhost:3000"],
        });
        let reported = [
            &format!("{hosts},mq.internal"),
            "--allowed-origins=https://app.example.com,http://localhost:3000",
        ];
        assert_eq!(allowed(spec), reported);
    }

    #[test]
    fn the_flags_contain_the_settings_for_proxies() {
        let of_nothing = flags(json!({}));
        assert!(of_nothing.contains(&"--keep-alive=620".to_owned()), "{of_nothing:?}");
        let absent = |flag: &str| !of_nothing.iter().any(|argument| argument.starts_with(flag));
        assert!(absent("--external-url") && absent("--trusted-proxies"), "{of_nothing:?}");
        let of_all = flags(json!({
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
