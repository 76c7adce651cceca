//! The channels that name no operator are the default one's, which a ClusterRole names. There is one in a cluster, so that
//! these tests take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use restante_tests::{cluster::info::ClusterInfo, kubectl::Kubectl, wait};

use super::{
    objects::{channel_of_the_default_operator, condition_is, finalizers, version},
    process::{Operator, SOON},
};
use crate::shared;

/// The turn of a test. Its end takes the ClusterRole away.
struct DefaultOperator {
    kubectl: Kubectl,
    _turn: MutexGuard<'static, ()>,
}

impl DefaultOperator {
    fn nobody(cluster: &'static ClusterInfo) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self { kubectl: cluster.kubectl(), _turn: turn }
    }

    fn becomes(&self, operator: &Operator) -> Result<()> {
        let manifest = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: restante-default-operator\n  \
             annotations: {{restante.dev/operator: {}/restante}}\nrules: []\n",
            operator.namespace
        );
        self.kubectl.apply(&manifest).map(drop)
    }
}

impl Drop for DefaultOperator {
    fn drop(&mut self) {
        // The next test would find it.
        let role = ["delete", "clusterrole", "restante-default-operator", "--ignore-not-found"];
        self.kubectl.run(&role).expect("the ClusterRole goes");
    }
}

#[test]
fn a_channel_that_names_no_operator_waits_until_one_is_the_default() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let default = DefaultOperator::nobody(cluster);
    let operator = Operator::start(cluster, "default-waits", &[])?;
    operator.broker_becomes_ready("main", "")?;
    let kubectl = cluster.kubectl();
    let words = ["-n", "default-waits", "get", "mc", "orders"];
    operator.reconciles_after(|| {
        kubectl.apply(&channel_of_the_default_operator("default-waits", "orders")).map(drop)
    })?;
    let channel = kubectl.json(&words)?;
    condition_is(&channel, "Ready", "Unknown", "Pending")?;
    ensure!(finalizers(&channel).is_empty());
    wait::until("it to be counted", SOON, || {
        let others = operator.metric("restante_operator_channels_not_ours")?;
        ensure!(others >= 1.0, "there are {others}");
        Ok(())
    })?;
    default.becomes(&operator)?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "default-waits", "messagechannel/orders"])?;
    ensure!(finalizers(&kubectl.json(&words)?) == ["restante.dev/default-waits"]);
    Ok(())
}

#[test]
fn another_default_operator_gets_new_channels_and_loses_no_message_of_the_old_ones() -> Result<()> {
    let Some(cluster) = shared::bare() else { return Ok(()) };
    let default = DefaultOperator::nobody(cluster);
    let one = Operator::start(cluster, "handed-one", &[])?;
    let other = Operator::start(cluster, "handed-other", &[])?;
    one.broker_becomes_ready("main", "")?;
    other.broker_becomes_ready("main", "")?;
    let kubectl = cluster.kubectl();
    kubectl.run(&["create", "namespace", "handed-users"])?;

    default.becomes(&one)?;
    kubectl.apply(&channel_of_the_default_operator("handed-users", "old"))?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "handed-users", "messagechannel/old"])?;
    one.send("main", "handed-users/old", "kept")?;
    kubectl.until(
        "its message to be told",
        SOON,
        &["-n", "handed-users", "get", "mc", "old"],
        |channel| {
            ensure!(channel["status"]["backlog"]["messages"] == 1, "{}", channel["status"]);
            Ok(())
        },
    )?;

    default.becomes(&other)?;
    kubectl.apply(&channel_of_the_default_operator("handed-users", "new"))?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "handed-users", "messagechannel/new"])?;
    let channel = |name: &str| kubectl.json(&["-n", "handed-users", "get", "mc", name]);
    ensure!(finalizers(&channel("new")?) == ["restante.dev/handed-other"]);
    let annotate = ["-n", "handed-users", "annotate", "mc", "old", "edit=one"];
    let mut edited = None;
    one.reconciles_after(|| {
        other.reconciles_after(|| {
            edited = Some(version(&kubectl.json(&annotate)?)?);
            Ok(())
        })
    })?;
    let old = channel("old")?;
    ensure!(Some(version(&old)?) == edited, "somebody wrote to it: {old:#}");
    ensure!(finalizers(&old) == ["restante.dev/handed-one"]);

    one.receive("main", "handed-users/old", "kept")?;
    kubectl.run(&["-n", "handed-users", "delete", "mc", "old", "new", "--timeout=60s"]).map(drop)
}
