//! MessageBrokers without an operator, and deleted MessageBrokers that a finalizer keeps, report that.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    objects::{channel, condition_is},
    process::Operator,
};
use crate::shared;

const BROKER: &str = "messagebroker/main";

#[test]
fn a_broker_whose_operator_is_uninstalled_is_not_ready_until_it_is_installed_again() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "left-behind", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.stop()?;
    operator.release_finalizers()?;
    let left = operator.get(BROKER)?;
    let message = condition_is(&left, "Ready", "Unknown", "OperatorUninstalled")?;
    ensure!(message.contains("Install the operator again in left-behind"), "{message}");
    condition_is(&left, "StorageDiffers", "False", "AsSpecified")
        .context("the other conditions should be unchanged")?;
    let operator = Operator::start_again(cluster, "left-behind", &[])?;
    operator.until_ready("main")
}

#[test]
fn an_uninstall_writes_an_event_for_a_deleted_channel_with_messages() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "kept-until", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("kept-until", "orders", "main", "")?;
    operator.send("main", "kept-until/orders", "wanted")?;
    operator.delete("orders")?;
    operator.is_blocked("orders", "NotEmpty", "has 1 message")?;
    operator.stop()?;
    let log = operator.release_finalizers_log()?;
    operator.channel_is_removed("orders")?;
    let note = operator.event("kept-until", "Orphaned", "orders")?["note"].to_string();
    for reported in [note.as_str(), log.as_str()] {
        ensure!(reported.contains("its status shows 1 message and 0 dead letters"), "{reported}");
        ensure!(
            reported.contains("in the store of MessageBroker kept-until/main as an orphan"),
            "{reported}"
        );
    }
    ensure!(log.lines().any(|line| line.contains("WARN") && line.contains("orders")), "{log}");
    Ok(())
}

#[test]
fn a_deleted_broker_names_the_finalizer_that_keeps_it_and_its_channels_do_not_ask_to_create_it() -> Result<()>
{
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "lingers", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.patch(BROKER, &json!({"metadata": {"finalizers": ["example.com/hold"]}}))?;
    operator.run(&["delete", BROKER, "--wait=false"])?;
    let message = operator.until_condition("main", "Ready", "False", "Deleting")?;
    ensure!(message.contains("entries of metadata.finalizers are removed: example.com/hold"), "{message}");
    let broker = operator.get(BROKER)?;
    ensure!(broker["status"]["observedGeneration"] == broker["metadata"]["generation"], "{broker}");
    operator.kubectl().apply(&channel("lingers", "orders", ("lingers", "main"), ""))?;
    operator.until("the channel to report the deletion", "messagechannel/orders", |channel| {
        let message = condition_is(channel, "Accepted", "False", "BrokerNotFound")?;
        ensure!(message.contains("is being deleted") && message.contains("example.com/hold"), "{message}");
        ensure!(message.contains("once it is gone, create it again"), "{message}");
        Ok(())
    })?;
    operator.patch(BROKER, &json!({"metadata": {"finalizers": null}}))?;
    operator.until_gone(BROKER)
}
