//! Brokers that the operator cannot serve: their channels report the reason, also after a restart of the operator.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use restante_tests::cluster::info::ClusterInfo;
use serde_json::{Value, json};

use super::{
    away::AWAY_WITHIN,
    objects::{channel, condition, condition_is},
    process::{Operator, SOON},
};
use crate::shared;

/// Less than the 30 s that the operator waits for a starting broker.
const AT_ONCE: Duration = Duration::from_secs(20);
const SECRET: &str = "secret/restante-main-control";

/// A running broker with the message `kept` in channel `orders`, which its operator can no longer ask.
struct CutOff {
    operator: Operator,
    reason: &'static str,
}

impl CutOff {
    fn new(cluster: &'static ClusterInfo, namespace: &str, reason: &'static str) -> Result<Self> {
        let operator = Operator::start(cluster, namespace, &[])?;
        operator.broker_becomes_ready("main", "")?;
        operator.channel_becomes_ready(namespace, "orders", "main", "")?;
        operator.send("main", &format!("{namespace}/orders"), "kept")?;
        let patch = match reason {
            "CredentialInvalid" => json!({"stringData": {"token": "guess-me"}}),
            _ => json!({"metadata": {
                "ownerReferences": null, "labels": {"app.kubernetes.io/managed-by": "somebody"},
            }}),
        };
        operator.patch(SECRET, &patch)?;
        operator.until_condition("main", "Ready", "False", reason)?;
        Ok(Self { operator, reason })
    }

    fn restart(mut self, cluster: &'static ClusterInfo) -> Result<Self> {
        self.operator.stop()?;
        let operator = Operator::start_again(cluster, &self.operator.namespace.clone(), &[])?;
        Ok(Self { operator, reason: self.reason })
    }

    /// Checks that a new channel reports why the broker does not have it, and that the old one is still served.
    fn channels_report_the_reason(&self, name: &str) -> Result<()> {
        self.operator.new_channel_reports(name, self.reason)?;
        let namespace = &self.operator.namespace;
        let orders = self.operator.get("messagechannel/orders")?;
        condition_is(&orders, "Programmed", "True", "Programmed")?;
        self.operator.send("main", &format!("{namespace}/orders"), "more")
    }

    /// Checks that a channel reports a missing broker pod and its return, also after a restart of the operator.
    fn channel_reports_pod_away_and_back(mut self, cluster: &'static ClusterInfo) -> Result<()> {
        let namespace = self.operator.namespace.clone();
        self.operator.run(&["scale", "statefulset/restante-main", "--replicas=0"])?;
        let words = ["-n", &namespace, "get", "mc", "orders"];
        let away = cluster.kubectl().until(
            "the channel to report that its broker has no ready pod",
            AWAY_WITHIN,
            &words,
            |channel| {
                condition_is(channel, "Ready", "False", "BrokerNotReady")?;
                condition_is(channel, "Programmed", "True", "Programmed")?;
                Ok(channel.clone())
            },
        )?;
        self = self.restart(cluster)?;
        self.operator.new_channel_reports("since", self.reason)?;
        let now = self.operator.get("messagechannel/orders")?;
        ensure!(condition(&now, "Ready")? == condition(&away, "Ready")?, "{}", now["status"]);
        if self.reason == "CredentialInvalid" {
            // The broker does not start with this token.
            self.operator.patch(SECRET, &json!({"data": {"token": null}}))?;
        }
        self.operator.run(&["scale", "statefulset/restante-main", "--replicas=1"])?;
        self.operator.becomes_ready("orders")
    }

    /// Checks that a deletion waits and reports why, and that a forced deletion ends with correct events.
    fn forced_deletion_reports_the_reason(&self) -> Result<()> {
        let operator = &self.operator;
        operator.delete("orders")?;
        let reported = format!("cannot serve MessageBroker main: {}: ", self.reason);
        operator.is_blocked("orders", "BrokerNotServed", &reported)?;
        operator.annotate("orders", "restante.dev/force-delete=true")?;
        operator.channel_is_removed("orders")?;
        for (reason, about) in [("Orphaned", "orders"), ("ChannelOrphaned", "main")] {
            let note = operator.event(&operator.namespace, reason, about)?["note"].to_string();
            ensure!(note.contains(&reported), "{note}");
            ensure!(note.contains("stay in the broker's store as an orphan"), "{note}");
            ensure!(!note.contains("away"), "{note}");
        }
        Ok(())
    }
}

impl Operator {
    /// Creates a channel, and checks that it reports at once why its broker is not served.
    fn new_channel_reports(&self, name: &str, reason: &str) -> Result<Value> {
        let kubectl = self.kubectl();
        kubectl.apply(&channel(&self.namespace, name, (&self.namespace, "main"), ""))?;
        let words = ["-n", &self.namespace, "get", "mc", name];
        kubectl.until("the channel to report the reason", AT_ONCE, &words, |channel| {
            for kind in ["Programmed", "Ready"] {
                let message = condition_is(channel, kind, "False", "BrokerNotServed")?;
                let reported = format!("cannot serve MessageBroker main: {reason}: ");
                ensure!(message.contains(&reported), "the message is {message}");
            }
            Ok(channel.clone())
        })
    }

    fn becomes_ready(&self, name: &str) -> Result<()> {
        let name = format!("messagechannel/{name}");
        self.kubectl().wait_for("condition=Ready", SOON, &["-n", &self.namespace, &name])
    }
}

#[test]
fn channels_of_a_broker_with_an_invalid_token_report_the_same_before_and_after_a_restart() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let cut_off = CutOff::new(cluster, "invalid-token", "CredentialInvalid")?;
    cut_off.channels_report_the_reason("before")?;
    let cut_off = cut_off.restart(cluster)?;
    cut_off.channels_report_the_reason("after")?;
    cut_off.operator.patch(SECRET, &json!({"data": {"token": null}}))?;
    cut_off.operator.becomes_ready("before")?;
    cut_off.operator.becomes_ready("after")
}

#[test]
fn channels_of_a_broker_whose_secret_has_another_owner_report_the_same_before_and_after_a_restart()
-> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let cut_off = CutOff::new(cluster, "taken-secret", "NameTaken")?;
    cut_off.channels_report_the_reason("before")?;
    let cut_off = cut_off.restart(cluster)?;
    cut_off.channels_report_the_reason("after")?;
    // Hand the Secret over as the condition says.
    cut_off.operator.run(&[
        "label",
        "--overwrite",
        SECRET,
        "app.kubernetes.io/managed-by=restante-operator",
    ])?;
    cut_off.operator.becomes_ready("before")?;
    cut_off.operator.becomes_ready("after")
}

#[test]
fn a_forced_deletion_reports_a_broker_with_an_invalid_token_as_not_served() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    CutOff::new(cluster, "invalid-forced", "CredentialInvalid")?.forced_deletion_reports_the_reason()
}

#[test]
fn a_forced_deletion_after_a_restart_reports_a_broker_with_an_invalid_token_as_not_served() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let cut_off = CutOff::new(cluster, "invalid-restart", "CredentialInvalid")?.restart(cluster)?;
    cut_off.operator.send("main", "invalid-restart/orders", "the broker runs")?;
    cut_off.forced_deletion_reports_the_reason()
}

#[test]
fn a_forced_deletion_after_a_restart_reports_a_broker_whose_secret_has_another_owner_as_not_served()
-> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let cut_off = CutOff::new(cluster, "taken-restart", "NameTaken")?.restart(cluster)?;
    cut_off.operator.send("main", "taken-restart/orders", "the broker runs")?;
    cut_off.forced_deletion_reports_the_reason()
}

#[test]
fn a_new_channel_reports_at_once_that_a_name_of_its_broker_is_taken() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "new-of-taken", &[])?;
    operator.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "restante-main"},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]},
    }))?;
    operator.apply_broker("main", "")?;
    operator.until_condition("main", "Ready", "False", "NameTaken")?;
    operator.new_channel_reports("orders", "NameTaken")?;
    operator.run(&["delete", "service", "restante-main"])?;
    operator.becomes_ready("orders")
}

#[test]
fn a_new_channel_reports_at_once_that_an_object_of_its_broker_cannot_be_applied() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "new-of-refused", &[])?;
    operator.apply_broker("main", "  template: {affinity: {nodeAfinity: {}}}\n")?;
    operator.until_condition("main", "Ready", "False", "ApplyFailed")?;
    let reported = operator.new_channel_reports("orders", "ApplyFailed")?;
    let message = condition_is(&reported, "Ready", "False", "BrokerNotServed")?;
    ensure!(message.contains("nodeAfinity"), "the message is {message}");
    // The channel also reports another reason, and its end.
    operator.apply_broker("main", "  template: {affinity: {podAfinity: {}}}\n")?;
    let words = ["-n", "new-of-refused", "get", "mc", "orders"];
    operator.kubectl().until("the channel to report the other reason", AT_ONCE, &words, |channel| {
        let message = condition_is(channel, "Ready", "False", "BrokerNotServed")?;
        ensure!(message.contains("podAfinity"), "the message is {message}");
        Ok(())
    })?;
    operator.apply_broker("main", "")?;
    operator.becomes_ready("orders").context("after the broker was corrected")
}

#[test]
fn a_channel_whose_broker_has_an_invalid_token_and_no_pod_is_not_ready() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    CutOff::new(cluster, "invalid-away", "CredentialInvalid")?.channel_reports_pod_away_and_back(cluster)
}

#[test]
fn a_channel_whose_brokers_secret_has_another_owner_is_not_ready_without_a_pod_even_after_a_restart()
-> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    CutOff::new(cluster, "taken-away", "NameTaken")?
        .restart(cluster)?
        .channel_reports_pod_away_and_back(cluster)
}

#[test]
fn a_corrected_annotation_is_reported_at_once_with_the_time_of_the_removal() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let CutOff { operator, .. } = CutOff::new(cluster, "mended", "CredentialInvalid")?;
    operator.annotate("orders", "restante.dev/force-delete=yes")?;
    operator.delete("orders")?;
    operator.is_blocked("orders", "BrokerNotServed", "force-delete=\"yes\" is invalid and ignored")?;
    operator.annotate("orders", "restante.dev/force-delete=true")?;
    let reported = operator.is_blocked("orders", "BrokerNotServed", "30 s after the deletion")?;
    ensure!(!reported["status"].to_string().contains("is invalid and ignored"), "{}", reported["status"]);
    operator.channel_is_removed("orders")
}
