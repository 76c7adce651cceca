//! A channel is Ready while messages can be sent to it: its broker has a ready pod, or was without one for less than a
//! minute.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use restante_tests::wait;

use super::{
    objects::{channel, condition, condition_is},
    process::{CHANNEL_WRITES, Operator, SOON},
};
use crate::shared;

/// Limit of waits for channels to report a broker without a ready pod: they do so after a minute.
pub(crate) const AWAY_WITHIN: Duration = Duration::from_secs(60 + SOON.as_secs());
/// No node has this label until a test adds it.
const NO_NODE: &str = "  template: {nodeSelector: {restante.dev/test-away: 'no'}}\n";

fn pod_is_ready(operator: &Operator) -> Result<()> {
    let pod = operator.get("pod/restante-main-0")?;
    let ready = condition(&pod, "Ready")?;
    ensure!(ready["status"] == "True", "the broker's pod is not ready: {ready}");
    Ok(())
}

impl Operator {
    /// Waits until the broker's pod cannot be scheduled on any node.
    pub(crate) fn until_pod_is_unschedulable(&self) -> Result<()> {
        self.until("the pod to be unschedulable", "pod/restante-main-0", |pod| {
            let phase = &pod["status"]["phase"];
            ensure!(phase == "Pending" && pod["spec"]["nodeName"].is_null(), "{}", pod["status"]);
            Ok(())
        })
    }
}

#[test]
fn a_channel_is_ready_only_if_its_brokers_pod_is_ready() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "ready-first", &[])?;
    operator.apply_broker("main", "")?;
    operator.channel_becomes_ready("ready-first", "orders", "main", "")?;
    pod_is_ready(&operator)
}

#[test]
fn a_restart_of_a_broker_writes_no_status_of_its_channels() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "restarts", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("restarts", "orders", "main", "")?;
    operator.until("the first counts, which are one write", "messagechannel/orders", |channel| {
        ensure!(channel["status"]["backlog"].is_object(), "{}", channel["status"]);
        Ok(())
    })?;
    let before = operator.get("pod/restante-main-0")?;
    let writes = operator.metric(CHANNEL_WRITES)?;
    operator.run(&["delete", "pod/restante-main-0"])?;
    wait::until("the next pod to be ready", SOON, || {
        ensure!(operator.get("pod/restante-main-0")?["metadata"]["uid"] != before["metadata"]["uid"]);
        pod_is_ready(&operator)
    })?;
    operator.until_condition("main", "Ready", "True", "Ready")?;
    let more = operator.metric(CHANNEL_WRITES)? - writes;
    ensure!(more == 0.0, "the status was written {more} times");
    Ok(())
}

#[test]
fn a_channel_whose_broker_is_away_for_a_minute_is_not_ready_until_it_is_back() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "away", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("away", "orders", "main", "")?;
    operator.apply_broker("main", NO_NODE)?;
    let words = ["-n", "away", "get", "mc", "orders"];
    let away = cluster.kubectl().until(
        "the channel to report that its broker has no ready pod",
        AWAY_WITHIN,
        &words,
        |channel| {
            let message = condition_is(channel, "Ready", "False", "BrokerNotReady")?;
            ensure!(message.contains("MessageBroker away/main has no ready pod"), "{message}");
            condition_is(channel, "Programmed", "True", "Programmed")?;
            Ok(channel.clone())
        },
    )?;
    // A restarted operator reaches the same conclusion and writes nothing.
    operator.stop()?;
    let operator = Operator::start_again(cluster, "away", &[])?;
    wait::until("the channel to be reconciled", SOON, || {
        let reconciles = operator.metric("restante_operator_reconcile_total{kind=\"MessageChannel\"}")?;
        ensure!(
            reconciles >= 1.0,
            "there were {reconciles} reconciles; the operator's log is\n{}",
            operator.log()
        );
        Ok(())
    })?;
    let now = operator.get("messagechannel/orders")?;
    ensure!(condition(&now, "Ready")? == condition(&away, "Ready")?, "{}", now["status"]);
    let node = cluster.kubectl().run(&["get", "nodes", "-o", "name"])?;
    let node = node.lines().next().context("there is a node")?;
    cluster.kubectl().run(&["label", "--overwrite", node, "restante.dev/test-away=no"])?;
    cluster.kubectl().wait_for("condition=Ready", SOON, &["-n", "away", "messagechannel/orders"])?;
    pod_is_ready(&operator)
}

#[test]
fn a_channel_of_a_broker_that_never_had_a_pod_is_not_ready() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "never-there", &[])?;
    operator.apply_broker("main", "  template: {nodeSelector: {restante.dev/test-away: never}}\n")?;
    cluster.kubectl().apply(&channel("never-there", "orders", ("never-there", "main"), ""))?;
    operator.until(
        "the channel to report that its broker has no ready pod",
        "messagechannel/orders",
        |channel| condition_is(channel, "Ready", "False", "NoBrokerPod").map(drop),
    )
}
