//! Deleted channels without a MessageBroker: they wait only while the broker's claim has their messages.

use anyhow::{Result, ensure};

use super::{
    objects::{channel, condition_is},
    process::{Operator, SOON},
};
use crate::shared;

const CLAIM: &str = "pvc/data-restante-main-0";
const CLAIM_HAS_MESSAGES: &str = "its claim data-restante-main-0 still has the messages of the channel";

impl Operator {
    /// Creates channels with a message each, and deletes their MessageBroker and then the channels.
    fn delete_broker_and_channels(&self, namespace: &str, names: &[(&str, &str)]) -> Result<()> {
        self.broker_becomes_ready("main", "")?;
        for (name, spec) in names {
            self.channel_becomes_ready(namespace, name, "main", spec)?;
            self.send("main", &format!("{namespace}/{name}"), "wanted")?;
        }
        self.run(&["delete", "messagebroker", "main", "--timeout=60s"])?;
        for (name, _) in names {
            self.kubectl().run(&["-n", namespace, "delete", "mc", name, "--wait=false"])?;
        }
        Ok(())
    }
}

#[test]
fn a_deleted_channel_without_its_broker_waits_while_the_claim_has_its_messages_and_delivers_them_later()
-> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "claim-stays", &[])?;
    operator.delete_broker_and_channels(
        "claim-stays",
        &[("orders", ""), ("drains", "  deletionPolicy: Drain\n")],
    )?;
    let orders = operator.is_blocked("orders", "BrokerNotFound", CLAIM_HAS_MESSAGES)?;
    let message = condition_is(&orders, "DeletionBlocked", "True", "BrokerNotFound")?;
    for says in [
        "create the MessageBroker again",
        "restante.dev/force-delete=true",
        "`kubectl -n claim-stays delete pvc data-restante-main-0`",
    ] {
        ensure!(message.contains(says), "the message is {message}");
    }
    condition_is(&orders, "Ready", "False", "BrokerNotFound")?;
    ensure!(!orders["status"].to_string().contains("delete this channel"), "{}", orders["status"]);
    operator.is_blocked("drains", "BrokerNotFound", CLAIM_HAS_MESSAGES)?;
    operator.event("claim-stays", "BrokerNotFound", "orders")?;
    operator.broker_becomes_ready("main", "")?;
    operator.until("the broker to have the channel again", "messagechannel/orders", |orders| {
        condition_is(orders, "Accepted", "True", "Accepted")?;
        condition_is(orders, "Programmed", "True", "Programmed")?;
        condition_is(orders, "Ready", "True", "Deleting")?;
        condition_is(orders, "DeletionBlocked", "True", "NotEmpty").map(drop)
    })?;
    operator.is_blocked("drains", "Draining", "has 1 message")?;
    for name in ["orders", "drains"] {
        operator.receive("main", &format!("claim-stays/{name}"), "wanted")?;
        operator.channel_is_removed(name)?;
    }
    Ok(())
}

#[test]
fn a_deleted_channel_without_its_broker_is_removed_when_the_claim_is_deleted() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "claim-goes", &[])?;
    operator.delete_broker_and_channels("claim-goes", &[("orders", "")])?;
    operator.is_blocked("orders", "BrokerNotFound", CLAIM_HAS_MESSAGES)?;
    operator.run(&["delete", CLAIM, "--timeout=60s"])?;
    operator.channel_is_removed("orders")?;
    let event = operator.event("claim-goes", "Orphaned", "orders")?;
    let note = event["note"].to_string();
    ensure!(note.contains("no claim data-restante-main-0") && !note.contains("create it"), "{note}");
    Ok(())
}

#[test]
fn a_deleted_channel_without_its_broker_is_removed_by_force_or_policy_and_the_claim_stays() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "claim-forced", &[])?;
    let by_policy = ("by-policy", "  deletionPolicy: Delete\n");
    operator.delete_broker_and_channels("claim-forced", &[("by-force", ""), by_policy])?;
    operator.channel_is_removed("by-policy")?;
    operator.is_blocked("by-force", "BrokerNotFound", CLAIM_HAS_MESSAGES)?;
    operator.annotate("by-force", "restante.dev/force-delete=true")?;
    operator.channel_is_removed("by-force")?;
    for name in ["by-policy", "by-force"] {
        let note = operator.event("claim-forced", "Orphaned", name)?["note"].to_string();
        ensure!(note.contains("claim data-restante-main-0") && note.contains("orphan"), "{note}");
    }
    operator.get(CLAIM).map(drop)
}

#[test]
fn a_namespace_is_removed_although_a_claim_has_the_messages_of_its_channel() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "claim-ends", &[])?;
    let kubectl = cluster.kubectl();
    kubectl.run(&["create", "namespace", "claim-ends-users"])?;
    operator.delete_broker_and_channels("claim-ends-users", &[("orders", "")])?;
    kubectl.until(
        "the deletion to be blocked",
        SOON,
        &["-n", "claim-ends-users", "get", "mc", "orders"],
        |channel| condition_is(channel, "DeletionBlocked", "True", "BrokerNotFound").map(drop),
    )?;
    kubectl.run(&["delete", "namespace", "claim-ends-users", "--timeout=90s"])?;
    operator.get(CLAIM).map(drop)
}

#[test]
fn a_deleted_channel_whose_broker_never_had_a_volume_is_removed_with_the_broker() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "claim-unbound", &[])?;
    // A storage class without a provisioner.
    operator.apply_broker("main", "  engine: {embedded: {storage: {storageClassName: nobodys}}}\n")?;
    operator.until("the claim to be created", CLAIM, |_| Ok(()))?;
    operator.channel_gets_finalizer("orders", "")?;
    operator.run(&["delete", "messagebroker", "main", "--timeout=60s"])?;
    operator.delete("orders")?;
    operator.channel_is_removed("orders")
}

#[test]
fn a_deleted_channel_of_a_broker_that_never_existed_is_removed_at_once() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "never-was", &[])?;
    let manifest = channel("never-was", "orders", ("never-was", "main"), "").replace(
        "namespace: never-was}\nspec",
        "namespace: never-was, finalizers: [restante.dev/never-was]}\nspec",
    );
    operator.kubectl().apply(&manifest)?;
    operator.delete("orders")?;
    operator.channel_is_removed("orders")?;
    let note = operator.event("never-was", "Orphaned", "orders")?["note"].to_string();
    ensure!(note.contains("MessageBroker main in namespace never-was does not exist"), "{note}");
    ensure!(!note.contains("create it"), "{note}");
    Ok(())
}
