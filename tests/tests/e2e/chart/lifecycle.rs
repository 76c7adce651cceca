//! A release that is installed, upgraded, rolled back, uninstalled and installed again, with a full channel throughout.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    messages::Channel,
    release::{Release, SOON, create_namespace, empty_cluster},
};

const SYSTEM: &str = "restante-system";
const USERS: &str = "acme";

/// Values of the first install. The storage class lets volumes grow.
const FIRST: &str = "broker: {storage: {size: 1Gi, storageClassName: local-growing}}\n";

/// A change of the values, and its effects on the MessageBroker and its pod.
struct Change {
    /// All values of the release.
    values: &'static str,
    /// The changed field of the MessageBroker, as a JSON pointer.
    of_broker: &'static str,
    expected: &'static str,
    /// The changed field of the Ready pod, as a JSON pointer.
    of_pod: &'static str,
    at_the_pod: &'static str,
}

const CHANGES: [Change; 4] = [
    Change {
        values: "broker: {keepAliveSeconds: 700, storage: {size: 2Gi, storageClassName: local-growing}}\n",
        of_broker: "/spec/engine/embedded/storage/size",
        expected: "2Gi",
        of_pod: "/spec/containers/0/args",
        at_the_pod: "--keep-alive=700",
    },
    Change {
        values: "
broker:
  storage: {size: 2Gi, storageClassName: local-growing}
  cores: 2
  externalURL: https://mq.example.com
  resources: {limits: {memory: 1200Mi}}
",
        of_broker: "/spec/externalURL",
        expected: "https://mq.example.com",
        of_pod: "/spec/containers/0/args",
        at_the_pod: "--cores=2",
    },
    Change {
        values: "
imagePullSecrets: [{name: registry}]
operator: {logLevel: debug, podAnnotations: {example.com/a: b}, priorityClassName: important}
broker:
  storage: {size: 2Gi, storageClassName: local-growing}
  podAnnotations: {example.com/a: changed}
  nodeSelector: {kubernetes.io/os: linux}
  tolerations: [{key: dedicated, operator: Exists}]
  priorityClassName: important
",
        of_broker: "/spec/template/priorityClassName",
        expected: "important",
        of_pod: "/metadata/annotations",
        at_the_pod: "changed",
    },
    // A claim cannot change its storage class: the operator reports that and applies the rest.
    Change {
        values: "broker: {keepAliveSeconds: 800, storage: {size: 2Gi, storageClassName: local}}\n",
        of_broker: "/spec/engine/embedded/storage/storageClassName",
        expected: "local",
        of_pod: "/spec/containers/0/args",
        at_the_pod: "--keep-alive=800",
    },
];

#[test]
fn a_channel_keeps_its_messages_and_conditions_through_upgrades_rollbacks_and_reinstalls() -> Result<()> {
    let Some(cluster) = empty_cluster()? else { return Ok(()) };
    let release = Release::new(&cluster.info, SYSTEM);
    let kubectl = release.kubectl();
    kubectl.apply(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: important}\nvalue: 1000\n",
    )?;
    create_namespace(&kubectl, USERS)?;
    release.install(FIRST)?;
    release.broker_becomes_ready("default")?;
    let channel = Channel::full(&release, "default", (USERS, "orders"), "{name: default}")?;

    for change in &CHANGES {
        release.upgrade(change.values)?;
        check_applied(&release, change).with_context(|| format!("after an upgrade to {}", change.values))?;
        channel.becomes_full()?;
    }
    let reported = release.broker_condition("StorageDiffers")?;
    ensure!(reported["status"] == "True", "{reported}");

    // The rollback asks for 1 GiB, but a claim cannot shrink.
    release.roll_back(1)?;
    let first = Change {
        values: FIRST,
        of_broker: "/spec/engine/embedded/storage/size",
        expected: "1Gi",
        of_pod: "/spec/containers/0/args",
        at_the_pod: "--keep-alive=620",
    };
    check_applied(&release, &first).context("after a rollback")?;
    channel.becomes_full()?;
    let reported = release.broker_condition("StorageDiffers")?;
    ensure!(reported["status"] == "True", "{reported}");

    let log = kubectl.run(&["-n", SYSTEM, "logs", "deployment/restante-operator", "--tail=-1"])?;
    ensure!(!log.contains("forbidden"), "the operator lacks a permission:\n{log}");
    let volume = release.volume()?;
    release.uninstall()?;
    only_the_kept_objects_are_left(&release, &volume)?;

    let notes = release.install(&CHANGES[0].values.replace("700", "620"))?;
    ensure!(!notes.contains("LEFT BEHIND"), "{notes}");
    release.broker_becomes_ready("default")?;
    channel.becomes_ready()?;
    channel.becomes_full()?;
    channel.delivers_all_messages()?;
    ensure!(release.volume()? == volume, "the claim is bound to another volume");
    Ok(())
}

/// Checks that the default broker becomes Ready with the values, and is not reported Ready before.
fn check_applied(release: &Release, change: &Change) -> Result<()> {
    let kubectl = release.kubectl();
    // The operator reads the values from a ConfigMap, a moment after helm has written it.
    let words = ["-n", SYSTEM, "get", "messagebroker", "default"];
    kubectl.until("the broker to have the values", SOON, &words, |broker| {
        let found = broker.pointer(change.of_broker).cloned().unwrap_or_default();
        ensure!(found == change.expected, "{} is {found}", change.of_broker);
        Ok(())
    })?;
    // Now `kubectl wait` must wait for a pod with the current spec.
    release.broker_becomes_ready("default")?;
    let pod = release.get("pod", "restante-default-0")?;
    let found = pod.pointer(change.of_pod).cloned().unwrap_or_default().to_string();
    ensure!(found.contains(change.at_the_pod), "the broker is Ready, but {} is {found}", change.of_pod);
    let ready = condition(&pod, "Ready").context("the pod has no condition Ready")?;
    ensure!(ready["status"] == "True", "the broker is Ready, but its pod is not: {ready}");
    let replaced = release.broker_condition("StoreReplaced");
    ensure!(replaced.is_ok_and(|condition| condition["status"] != "True"), "the store was replaced");
    kubectl.wait_for("condition=Ready", SOON, &["-n", USERS, "messagechannel/orders"])
}

fn only_the_kept_objects_are_left(release: &Release, volume: &Value) -> Result<()> {
    let left = release.objects()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let kubectl = release.kubectl();
    kubectl.run(&["get", "crd", "messagechannels.restante.dev", "messagebrokers.restante.dev"])?;
    let channel = kubectl.json(&["-n", USERS, "get", "mc", "orders"])?;
    ensure!(channel["metadata"].get("finalizers").is_none(), "the finalizer was not removed: {channel}");
    kubectl.wait_for(
        "delete",
        SOON,
        &["-n", SYSTEM, "messagebroker/default", "statefulset/restante-default"],
    )?;
    ensure!(release.volume()? == *volume, "the claim was deleted or replaced");
    Ok(())
}

impl Release {
    /// The volume of the default broker's claim.
    fn volume(&self) -> Result<Value> {
        Ok(self.get("pvc", "data-restante-default-0")?["spec"]["volumeName"].clone())
    }

    /// A condition of the default broker, or null if it is absent.
    fn broker_condition(&self, kind: &str) -> Result<Value> {
        let broker = self.get("messagebroker", "default")?;
        Ok(condition(&broker, kind).cloned().unwrap_or_default())
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}
