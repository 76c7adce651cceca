//! Deletion of channels: no message is lost silently, and every deletion ends.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    objects::{channel, condition, condition_is, finalizers},
    process::{Operator, SOON},
};
use crate::shared;

/// No node has this label.
const NO_NODE: &str = "  template: {nodeSelector: {restante.dev/test-deletion: never}}\n";
/// A storage class without a provisioner, so that the broker's pod never runs.
pub(crate) const NO_POD: &str = "  engine: {embedded: {storage: {storageClassName: nobodys}}}\n";

impl Operator {
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.kubectl().run(&["-n", &self.namespace, "delete", "mc", name, "--wait=false"]).map(drop)
    }

    pub(crate) fn annotate(&self, name: &str, annotation: &str) -> Result<()> {
        let words = ["-n", &self.namespace, "annotate", "--overwrite", "mc", name, annotation];
        self.kubectl().run(&words).map(drop)
    }

    pub(crate) fn channel_is_removed(&self, name: &str) -> Result<()> {
        self.kubectl().wait_for("delete", SOON, &["-n", &self.namespace, &format!("messagechannel/{name}")])
    }

    /// Waits until the deletion of a channel is blocked for this reason, with a message that contains `says`.
    pub(crate) fn is_blocked(&self, name: &str, reason: &str, says: &str) -> Result<Value> {
        let words = ["-n", &self.namespace, "get", "mc", name];
        self.kubectl().until("the deletion to be blocked", SOON, &words, |channel| {
            let message = condition_is(channel, "DeletionBlocked", "True", reason)?;
            ensure!(message.contains(says), "the message is {message}");
            Ok(channel.clone())
        })
    }

    /// Applies a channel, and waits until it has the operator's finalizer.
    pub(crate) fn channel_gets_finalizer(&self, name: &str, spec: &str) -> Result<()> {
        let kubectl = self.kubectl();
        kubectl.apply(&channel(&self.namespace, name, (&self.namespace, "main"), spec))?;
        let words = ["-n", &self.namespace, "get", "mc", name];
        kubectl.until("the finalizer", SOON, &words, |channel| {
            ensure!(channel["metadata"]["finalizers"].is_array(), "{}", channel["metadata"]);
            Ok(())
        })
    }

    /// Waits for an event with this reason about the object `about`.
    pub(crate) fn event(&self, namespace: &str, reason: &str, about: &str) -> Result<Value> {
        let words = ["-n", namespace, "get", "events.v1.events.k8s.io"];
        self.kubectl().until(&format!("the event {reason}"), SOON, &words, |events| {
            let events = events["items"].as_array().context("there is no list")?;
            let is_it = |event: &&Value| event["reason"] == reason && event["regarding"]["name"] == about;
            events.iter().find(is_it).cloned().context("no such event")
        })
    }
}

#[test]
fn only_the_value_true_forces_a_deletion() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "only-true", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("only-true", "orders", "main", "")?;
    operator.send("main", "only-true/orders", "wanted")?;
    operator.annotate("orders", "restante.dev/force-delete=false")?;
    operator.delete("orders")?;
    operator.is_blocked(
        "orders",
        "NotEmpty",
        "restante.dev/force-delete=\"false\" is invalid and ignored",
    )?;
    operator.annotate("orders", "restante.dev/force-delete=true")?;
    operator.channel_is_removed("orders")?;
    let event = operator.event("only-true", "ForceDeleted", "orders")?;
    ensure!(event["note"].as_str().is_some_and(|note| note.contains("1 message")), "{event}");
    Ok(())
}

#[test]
fn a_deleted_channel_is_not_removed_as_empty_by_a_store_that_never_had_it() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "another-store", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.until_condition("main", "StoreReplaced", "False", "SameStore")?;
    for name in ["by-block", "by-policy", "by-force"] {
        let policy = if name == "by-policy" { "  deletionPolicy: Delete\n" } else { "" };
        operator.channel_becomes_ready("another-store", name, "main", policy)?;
    }
    operator.send("main", "another-store/by-block", "wanted")?;
    operator.run(&["delete", "pvc/data-restante-main-0", "--wait=false"])?;
    operator.run(&["delete", "pod/restante-main-0"])?;
    // Delete at once, possibly before the status of the MessageBroker reports the other store.
    for name in ["by-block", "by-policy", "by-force"] {
        operator.delete(name)?;
    }
    operator.until_condition("main", "StoreReplaced", "True", "AnotherStore")?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    for name in ["by-block", "by-policy", "by-force"] {
        operator.is_blocked(
            name,
            "StoreReplaced",
            "was replaced, and only the earlier store has the messages",
        )?;
    }
    operator.event("another-store", "StoreReplaced", "by-block")?;
    operator.annotate("by-force", "restante.dev/force-delete=true")?;
    operator.channel_is_removed("by-force")?;
    operator.is_blocked("by-block", "StoreReplaced", "restore the earlier volume")?;
    let message = operator.until_condition("main", "StoreReplaced", "True", "AnotherStore")?;
    let accept = message.split('`').nth(1).context("there is no command")?;
    operator.kubectl().run(&accept.split(' ').skip(1).collect::<Vec<_>>())?;
    operator.channel_is_removed("by-block")?;
    operator.channel_is_removed("by-policy")
}

#[test]
fn a_forced_deletion_ends_without_a_broker_pod_and_a_policy_waits_for_one() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "no-pod", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("no-pod", "by-policy", "main", "  deletionPolicy: Delete\n")?;
    operator.channel_becomes_ready("no-pod", "by-force", "main", "")?;
    operator.apply_broker("main", NO_NODE)?;
    operator.until_pod_is_unschedulable()?;
    operator.delete("by-policy")?;
    operator.delete("by-force")?;
    let away = "restante.dev/force-delete=true to release it without its broker";
    operator.is_blocked("by-policy", "BrokerUnreachable", away)?;
    operator.annotate("by-force", "restante.dev/force-delete=true")?;
    operator.channel_is_removed("by-force")?;
    for (reason, about) in [("Orphaned", "by-force"), ("ChannelOrphaned", "main")] {
        let event = operator.event("no-pod", reason, about)?;
        ensure!(event["note"].as_str().is_some_and(|note| note.contains("orphan")), "{event}");
    }
    // The deletion by policy has waited longer than the forced one.
    operator.is_blocked("by-policy", "BrokerUnreachable", away)?;
    operator.annotate("by-policy", "restante.dev/force-delete=true")?;
    operator.channel_is_removed("by-policy")
}

#[test]
fn a_forced_deletion_ends_if_the_message_broker_was_never_served() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "never-served", &[])?;
    // The API server refuses the broker's Services.
    let kubectl = cluster.kubectl();
    kubectl.run(&["-n", "never-served", "create", "quota", "none", "--hard=count/services=0"])?;
    // A claim that a user created for a restore: the broker may have the channel's messages.
    operator.apply(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-restante-main-0", "labels": {
            "app.kubernetes.io/name": "restante-broker", "restante.dev/broker": "main",
        }},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "nobodys", "volumeName": "restored",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }))?;
    operator.apply_broker("main", "")?;
    operator.channel_gets_finalizer("orders", "")?;
    let words = ["-n", "never-served", "get", "mc", "orders"];
    kubectl.until("the channel to report that its broker is not served", SOON, &words, |channel| {
        condition_is(channel, "Ready", "False", "BrokerNotServed").map(drop)
    })?;
    // A restarted operator does not know whether a broker was sent the channel.
    operator.stop()?;
    let operator = Operator::start_again(cluster, "never-served", &[])?;
    operator.delete("orders")?;
    operator.is_blocked("orders", "BrokerNotServed", "cannot serve MessageBroker main: ApplyFailed")?;
    operator.annotate("orders", "restante.dev/force-delete=true")?;
    operator.channel_is_removed("orders")
}

#[test]
fn a_deleted_channel_with_messages_stays_while_its_message_broker_is_deleted_and_afterwards() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "broker-goes", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("broker-goes", "orders", "main", "")?;
    operator.send("main", "broker-goes/orders", "kept")?;
    let kubectl = cluster.kubectl();
    let finalizers = |list: &str| {
        let patch = format!("{{\"metadata\": {{\"finalizers\": {list}}}}}");
        let words = ["-n", "broker-goes", "patch", "mb", "main", "--type=merge", "-p", &patch];
        kubectl.run(&words).map(drop)
    };
    finalizers("[\"example.com/slow\"]")?;
    kubectl.run(&["-n", "broker-goes", "delete", "mb", "main", "--wait=false"])?;
    operator.delete("orders")?;
    operator.is_blocked("orders", "BrokerUnreachable", "is being deleted")?;
    finalizers("[]")?;
    // The claim still has the channel's messages.
    operator.is_blocked("orders", "BrokerNotFound", "claim data-restante-main-0")?;
    operator.event("broker-goes", "BrokerNotFound", "orders").map(drop)
}

#[test]
fn the_broker_has_the_events_of_a_channel_in_a_terminating_namespace() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "terminating", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let kubectl = cluster.kubectl();
    kubectl.run(&["create", "namespace", "terminating-users"])?;
    for (name, spec) in [("kept", ""), ("given-up", "  deletionPolicy: Delete\n")] {
        operator.channel_becomes_ready("terminating-users", name, "main", spec)?;
    }
    operator.send("main", "terminating-users/kept", "one")?;
    operator.send("main", "terminating-users/given-up", "two")?;
    kubectl.run(&["delete", "namespace", "terminating-users", "--timeout=90s"])?;
    for (reason, channel) in [("ChannelOrphaned", "kept"), ("ChannelDeletedWithMessages", "given-up")] {
        let event = operator.event("terminating", reason, "main")?;
        ensure!(event["related"]["name"] == channel, "{event}");
        ensure!(event["related"]["namespace"] == "terminating-users", "{event}");
    }
    Ok(())
}

#[test]
fn a_deleted_channel_shows_its_backlog_and_that_it_is_being_deleted() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "going", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("going", "orders", "main", "")?;
    operator.send("main", "going/orders", "one")?;
    operator.delete("orders")?;
    let channel = operator.is_blocked("orders", "NotEmpty", "has 1 message")?;
    condition_is(&channel, "Ready", "True", "Deleting")?;
    let table = cluster.kubectl().run(&["-n", "going", "get", "mc", "orders", "-o", "wide"])?;
    let row: Vec<&str> = table.lines().nth(1).context("there is a row")?.split_whitespace().collect();
    // NAME READY DESTINATION SOURCE BACKLOG …
    ensure!(row[..5] == ["orders", "True", "going/orders", "going/orders", "1"], "{table}");
    ensure!(row.last() == Some(&"Deleting"), "{table}");
    let event = operator.event("going", "NotEmpty", "orders")?;
    let note = event["note"].as_str().context("an event has a note")?;
    ensure!(!note.contains(char::is_numeric), "the note contains a count: {note}");
    operator.receive("main", "going/orders", "one")?;
    operator.channel_is_removed("orders")
}

#[test]
fn a_deleted_channel_kept_by_the_finalizer_of_another_owner_names_it() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "kept-by-another", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let another = channel("kept-by-another", "orders", ("kept-by-another", "main"), "").replace(
        "namespace: kept-by-another}\nspec",
        "namespace: kept-by-another, finalizers: [example.com/audit]}\nspec",
    );
    let kubectl = cluster.kubectl();
    kubectl.apply(&another)?;
    let words = ["-n", "kept-by-another", "messagechannel/orders"];
    kubectl.wait_for("condition=Ready", SOON, &words)?;
    operator.delete("orders")?;
    operator.until("our finalizer to be removed", "messagechannel/orders", |channel| {
        ensure!(finalizers(channel) == ["example.com/audit"], "{}", channel["metadata"]);
        Ok(())
    })?;
    // The status is written before the finalizer is removed.
    let orders = operator.get("messagechannel/orders")?;
    for kind in ["Programmed", "Ready"] {
        let message = condition_is(&orders, kind, "False", "Deleting")?;
        ensure!(message.contains("example.com/audit"), "the message is {message}");
    }
    let status = &orders["status"];
    ensure!(condition(&orders, "DeletionBlocked").is_err() && status["pushURL"].is_null(), "{status}");
    operator.patch("messagechannel/orders", &json!({"metadata": {"finalizers": null}}))?;
    operator.channel_is_removed("orders")
}
