//! Names and labels of the objects that the operator creates.

use std::collections::BTreeMap;

/// The field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "restante-operator";
/// The controller in events.
pub const CONTROLLER: &str = "restante-operator";
/// The label that selects the pods of a broker. Its value is the MessageBroker's name.
pub const BROKER_LABEL: &str = "restante.dev/broker";
/// The label that names the manager of an object: [`FIELD_MANAGER`] for our objects.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The label `app.kubernetes.io/name` of every object of a broker.
pub const APP: &str = "restante-broker";
/// The port of the data plane: pushes and pulls.
pub const DATA_PORT: u16 = 8080;
/// The port of probes and metrics.
pub const ADMIN_PORT: u16 = 8081;
/// The port of the control API.
pub const CONTROL_PORT: u16 = 8082;
/// The key in the Secret, and the file in the pod, with the control credential.
pub const TOKEN_KEY: &str = "token";

/// The name of the StatefulSet, the ServiceAccount and the clients' Service. It has a prefix, because the MessageBroker
/// `default` must not use the namespace's ServiceAccount `default`.
pub fn workload(broker: &str) -> String {
    format!("restante-{broker}")
}

/// The headless Service, which gives the pods their DNS names.
pub fn headless(broker: &str) -> String {
    format!("restante-{broker}-headless")
}

/// The Secret with the control credential.
pub fn credential(broker: &str) -> String {
    format!("restante-{broker}-control")
}

/// The name of the volume in the pod, and therefore the prefix of the claim's name.
pub const VOLUME: &str = "data";

/// The volume claim of the broker's one pod, as named by the StatefulSet controller.
pub fn claim(broker: &str) -> String {
    format!("{VOLUME}-{}-0", workload(broker))
}

/// The selector of a broker's pods. It must never change, because the selector of a StatefulSet is immutable.
pub fn selector(broker: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".into(), APP.into()), (BROKER_LABEL.into(), broker.into())])
}

/// The labels of every object of a broker.
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

/// The URL for clients in the cluster.
pub fn service_url(broker: &str, namespace: &str) -> String {
    format!("http://{}.{namespace}.svc:{DATA_PORT}", workload(broker))
}

/// The DNS names of the clients' Service, from the short to the full one.
///
/// The full name has the default cluster domain. For another domain, `allowedHosts` of the MessageBroker must contain
/// it.
pub fn service_hosts(broker: &str, namespace: &str) -> [String; 4] {
    short_to_full(&workload(broker), namespace)
}

/// The DNS names of the broker's pod in the headless Service. A scraper by name uses them at the admin port.
pub fn pod_hosts(broker: &str, namespace: &str) -> [String; 4] {
    short_to_full(&format!("{}-0.{}", workload(broker), headless(broker)), namespace)
}

fn short_to_full(name: &str, namespace: &str) -> [String; 4] {
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
