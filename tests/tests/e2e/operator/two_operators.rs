//! Two operators in one cluster: neither writes to objects of the other.

use anyhow::{Result, ensure};
use restante_tests::{cluster::info::ClusterInfo, wait};
use serde_json::Value;

use super::{
    objects::{broker, condition_is, finalizers, version},
    process::{CHANNEL_WRITES, Operator, SOON},
};
use crate::shared;

/// Number of edits of a channel, each reconciled by both operators.
const EDITS: usize = 5;

/// Two operators with a broker `main` each, and a channel of the first.
struct TwoOperators {
    one: Operator,
    other: Operator,
    users: String,
}

impl TwoOperators {
    fn start(cluster: &'static ClusterInfo, name: &str) -> Result<Self> {
        let users = format!("{name}-users");
        cluster.kubectl().run(&["create", "namespace", &users])?;
        let one = Operator::start(cluster, &format!("{name}-one"), &[])?;
        let other = Operator::start(cluster, &format!("{name}-other"), &[])?;
        other.broker_becomes_ready("main", "")?;
        one.broker_becomes_ready("main", "")?;
        one.channel_becomes_ready(&users, "orders", "main", "")?;
        let operators = Self { one, other, users };
        operators.until("the first counts, which are one write", |channel| {
            ensure!(channel["status"]["backlog"].is_object(), "{}", channel["status"]);
            Ok(())
        })?;
        Ok(operators)
    }

    fn until(&self, what: &str, probe: impl FnMut(&Value) -> Result<()>) -> Result<()> {
        self.one.kubectl().until(what, SOON, &["-n", &self.users, "get", "mc", "orders"], probe)
    }

    fn channel(&self) -> Result<Value> {
        self.one.kubectl().json(&["-n", &self.users, "get", "mc", "orders"])
    }

    /// Edits the channel, and waits until both operators have reconciled it.
    fn edit(&self, edit: &str) -> Result<Value> {
        let words = ["-n", &self.users, "annotate", "--overwrite", "mc", "orders", edit];
        let mut edited = Value::Null;
        self.one.reconciles_after(|| {
            self.other.reconciles_after(|| {
                edited = self.one.kubectl().json(&words)?;
                Ok(())
            })
        })?;
        Ok(edited)
    }
}

#[test]
fn two_operators_write_nothing_to_an_idle_channel() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operators = TwoOperators::start(cluster, "operators")?;
    // The first counts may be a separate write after Ready.
    let words = ["-n", &operators.users, "get", "mc", "orders"];
    cluster.kubectl().until("the backlog to be shown", SOON, &words, |channel| {
        ensure!(channel["status"]["backlog"].is_object(), "{}", channel["status"]);
        Ok(())
    })?;
    for edit in 0..EDITS {
        let edited = operators.edit(&format!("edit=number-{edit}"))?;
        let channel = operators.channel()?;
        ensure!(version(&channel)? == version(&edited)?, "an operator wrote to the channel: {channel:#}");
    }
    condition_is(&operators.channel()?, "Ready", "True", "Ready")?;
    let writes = operators.other.metric(CHANNEL_WRITES)?;
    ensure!(writes == 0.0, "the other wrote {writes} statuses");
    ensure!(operators.other.metric("restante_operator_foreign_channels")? >= 1.0);
    wait::until("the other operator to log it", SOON, || {
        let log = operators.other.log();
        ensure!(log.contains("some MessageChannels belong to other operators"), "{log}");
        Ok(())
    })
}

#[test]
fn a_deleted_channel_waits_for_its_own_operator() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operators = TwoOperators::start(cluster, "waits-for")?;
    operators.one.stop()?;
    let kubectl = cluster.kubectl();
    let delete = ["-n", &operators.users, "delete", "mc", "orders", "--wait=false"];
    operators.other.reconciles_after(|| kubectl.run(&delete).map(drop))?;
    for edit in 0..EDITS {
        let edit = format!("edit=number-{edit}");
        let words = ["-n", &operators.users, "annotate", "--overwrite", "mc", "orders", &edit];
        operators.other.reconciles_after(|| kubectl.run(&words).map(drop))?;
        // The finalizer names the operator that the channel waits for.
        ensure!(finalizers(&operators.channel()?) == ["restante.dev/waits-for-one"]);
    }
    operators.one = Operator::start_again(cluster, "waits-for-one", &[])?;
    kubectl.wait_for("delete", SOON, &["-n", &operators.users, "messagechannel/orders"])
}

#[test]
fn an_uninstalled_operator_removes_only_its_own_finalizers() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operators = TwoOperators::start(cluster, "uninstalled")?;
    let users = operators.users.clone();
    operators.other.channel_becomes_ready(&users, "bills", "main", "")?;
    operators.other.stop()?;
    operators.other.release_finalizers()?;
    let kubectl = cluster.kubectl();
    ensure!(finalizers(&kubectl.json(&["-n", &users, "get", "mc", "bills"])?).is_empty());
    ensure!(finalizers(&operators.channel()?) == ["restante.dev/uninstalled-one"]);
    Ok(())
}

#[test]
fn an_operator_writes_nothing_to_a_message_broker_of_another_namespace() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let operator = Operator::start(cluster, "beside", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let kubectl = cluster.kubectl();
    kubectl.run(&["create", "namespace", "beside-nobodys"])?;
    kubectl.apply(&broker("beside-nobodys", "main", ""))?;
    let words = ["-n", "beside-nobodys", "get", "mb", "main"];
    let before = kubectl.json(&words)?;
    condition_is(&before, "Ready", "Unknown", "Pending")?;
    // When the operator has reconciled its own broker, it has seen all others.
    let annotate = ["-n", "beside", "annotate", "mb", "main", "edit=one"];
    operator.reconciles_after(|| kubectl.run(&annotate).map(drop))?;
    let after = kubectl.json(&words)?;
    ensure!(version(&after)? == version(&before)?, "an operator wrote to the broker: {after:#}");
    Ok(())
}
