//! Names and labels of what the operator makes.

use std::collections::BTreeMap;

/// The field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "restante-operator";
/// The controller in events.
pub const CONTROLLER: &str = "restante-operator";
/// The label by which the pods of a broker are found. Its value is the MessageBroker's name.
pub const BROKER_LABEL: &str = "restante.dev/broker";
/// The label that says who writes an object. Ours are written by [`FIELD_MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The label `app.kubernetes.io/name` of everything that belongs to a broker.
pub const APP: &str = "restante-broker";
/// The port of the data plane: pushes and pulls.
pub const DATA_PORT: u16 = 8080;
/// The port of probes and metrics.
pub const ADMIN_PORT: u16 = 8081;
/// The port of the control API.
pub const CONTROL_PORT: u16 = 8082;
/// The key in the Secret, and the file in the pod, that hold the control credential.
pub const TOKEN_KEY: &str = "token";

/// The StatefulSet, the ServiceAccount and the clients' Service. With a prefix, because a MessageBroker called `default`
/// must not take the namespace's ServiceAccount `default`.
pub fn workload(broker: &str) -> String {
    format!("restante-{broker}")
}

/// The Service that gives pods their names.
pub fn headless(broker: &str) -> String {
    format!("restante-{broker}-headless")
}

/// The Secret with the control credential.
pub fn credential(broker: &str) -> String {
    format!("restante-{broker}-control")
}

/// The name of the volume in the pod, and so the beginning of the claim's.
pub const VOLUME: &str = "data";

/// The volume claim of the broker's one pod, as the StatefulSet controller calls it.
pub fn claim(broker: &str) -> String {
    format!("{VOLUME}-{}-0", workload(broker))
}

/// What selects the pods of a broker. Never changes: the selector of a StatefulSet is immutable.
pub fn selector(broker: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".into(), APP.into()), (BROKER_LABEL.into(), broker.into())])
}

/// The labels of everything that belongs to a broker.
pub fn labels(broker: &str) -> BTreeMap<String, String> {
    let mut labels = selector(broker);
    labels.extend([
        ("app.kubernetes.io/instance".into(), broker.into()),
        ("app.kubernetes.io/component".into(), "broker".into()),
        ("app.kubernetes.io/part-of".into(), "restante".into()),
        (MANAGED_BY_LABEL.into(), FIELD_MANAGER.into()),
    ]);
    labels
}

/// What clients in the cluster use.
pub fn service_url(broker: &str, namespace: &str) -> String {
    format!("http://{}.{namespace}.svc:{DATA_PORT}", workload(broker))
}

/// What the clients' Service is called in the cluster, from its own namespace to its whole name.
///
/// With the cluster's usual domain: where it is another, `allowedHosts` of the MessageBroker has the whole name.
pub fn service_hosts(broker: &str, namespace: &str) -> [String; 4] {
    from_its_namespace_on(&workload(broker), namespace)
}

/// What the broker's pod is called by the headless Service, which is how something that scrapes by name asks the admin port.
pub fn pod_hosts(broker: &str, namespace: &str) -> [String; 4] {
    from_its_namespace_on(&format!("{}-0.{}", workload(broker), headless(broker)), namespace)
}

fn from_its_namespace_on(name: &str, namespace: &str) -> [String; 4] {
    [
        name.to_owned(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.cluster.local"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_still_fits_a_label_with_a_revision_hash() {
        let longest = "b".repeat(restante_crds::BROKER_NAME_BYTES_MAX);
        assert!(workload(&longest).len() + "-0123456789".len() <= 63);
        assert!(headless(&longest).len() <= 63);
    }
}
