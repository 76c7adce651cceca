//! A channel that was never sent to a broker pod has no messages: after its deletion it is removed at once, without an
//! orphan.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{deletion::NO_POD, objects::condition_is, process::Operator};
use crate::shared;

/// No node has this label.
const NO_NODE: &str = "  template: {nodeSelector: {restante.dev/test-unsent: never}}\n";

impl Operator {
    /// Deletes a channel, and checks that it is removed without an event about an orphan.
    fn channel_is_removed_without_orphan(&self, name: &str) -> Result<()> {
        self.delete(name)?;
        self.channel_is_removed(name)?;
        let events = self.kubectl().json(&["-n", &self.namespace, "get", "events.v1.events.k8s.io"])?;
        let is_orphaned =
            |event: &&Value| event["reason"].as_str().is_some_and(|reason| reason.ends_with("Orphaned"));
        let event = events["items"].as_array().and_then(|events| events.iter().find(is_orphaned));
        ensure!(event.is_none(), "there is {event:?}");
        Ok(())
    }

    /// Starts a broker, and then makes its pod unschedulable.
    fn remove_broker_pod(&self) -> Result<()> {
        self.broker_becomes_ready("main", "")?;
        self.apply_broker("main", NO_NODE)?;
        self.until_pod_is_unschedulable()
    }

    /// Applies a channel, and checks that it reports a broker without a pod.
    fn channel_waits_for_pod(&self, name: &str) -> Result<()> {
        self.channel_gets_finalizer(name, "")?;
        self.until("the channel to wait", &format!("messagechannel/{name}"), |channel| {
            condition_is(channel, "Programmed", "False", "NoBrokerPod").map(drop)
        })
    }
}

#[test]
fn a_deleted_channel_that_no_pod_ever_had_is_removed_at_once_while_its_broker_is_away() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "unsent", &[])?;
    operator.remove_broker_pod()?;
    operator.channel_waits_for_pod("orders")?;
    operator.channel_is_removed_without_orphan("orders")
}

#[test]
fn a_deleted_channel_that_no_pod_ever_had_is_removed_at_once_if_a_name_of_its_broker_is_taken() -> Result<()>
{
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "unsent-taken", &[])?;
    operator.broker_becomes_ready("main", "")?;
    // One edit changes both: with our labels and without a controller, the operator would adopt the Secret again.
    let taken = json!({"metadata": {
        "ownerReferences": null, "labels": {"app.kubernetes.io/managed-by": "somebody"},
    }});
    operator.patch("secret/restante-main-control", &taken)?;
    operator.until_condition("main", "Ready", "False", "NameTaken")?;
    operator.channel_gets_finalizer("orders", "")?;
    operator.channel_is_removed_without_orphan("orders")
}

#[test]
fn a_deleted_channel_of_a_broker_without_a_volume_is_removed_at_once_even_after_a_restart() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "unsent-restart", &[])?;
    operator.apply_broker("main", NO_POD)?;
    operator.channel_waits_for_pod("orders")?;
    operator.stop()?;
    let operator = Operator::start_again(cluster, "unsent-restart", &[])?;
    operator.channel_is_removed_without_orphan("orders")
}

#[test]
fn a_restarted_operator_keeps_a_deleted_channel_that_may_have_been_sent() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "unsent-unsure", &[])?;
    operator.remove_broker_pod()?;
    operator.channel_waits_for_pod("orders")?;
    operator.stop()?;
    let operator = Operator::start_again(cluster, "unsent-unsure", &[])?;
    operator.delete("orders")?;
    operator.is_blocked("orders", "BrokerUnreachable", "no pod of MessageBroker main is running").map(drop)
}
