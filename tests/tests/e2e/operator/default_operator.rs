//! Channels that name no operator belong to the default operator, which a ClusterRole names. A cluster has only one
//! such ClusterRole, so these tests run one after the other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use restante_tests::{cluster::info::ClusterInfo, kubectl::Kubectl, wait};
use serde_json::{Value, json};

use super::{
    admission,
    objects::{channel_of_the_default_operator, condition_is, finalizers, version},
    process::{Operator, SOON},
};
use crate::shared;

/// Exclusive access to the ClusterRole, which is deleted when this is dropped.
struct DefaultOperator {
    kubectl: Kubectl,
    _turn: MutexGuard<'static, ()>,
}

impl DefaultOperator {
    fn none(cluster: &'static ClusterInfo) -> Self {
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
        // The next test must not find it.
        let role = ["delete", "clusterrole", "restante-default-operator", "--ignore-not-found"];
        self.kubectl.run(&role).expect("the ClusterRole can be deleted");
    }
}

#[test]
fn a_channel_that_names_no_operator_waits_for_a_default_operator() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let default = DefaultOperator::none(cluster);
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
    wait::until("the channel to be counted as another operator's", SOON, || {
        let others = operator.metric("restante_operator_foreign_channels")?;
        ensure!(others >= 1.0, "there are {others}");
        Ok(())
    })?;
    default.becomes(&operator)?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "default-waits", "messagechannel/orders"])?;
    ensure!(finalizers(&kubectl.json(&words)?) == ["restante.dev/default-waits"]);
    Ok(())
}

#[test]
fn a_new_default_operator_gets_new_channels_and_old_channels_lose_no_message() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let default = DefaultOperator::none(cluster);
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
        "the backlog to show its message",
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
    ensure!(Some(version(&old)?) == edited, "an operator wrote to the channel: {old:#}");
    ensure!(finalizers(&old) == ["restante.dev/handed-one"]);

    one.receive("main", "handed-users/old", "kept")?;
    kubectl.run(&["-n", "handed-users", "delete", "mc", "old", "new", "--timeout=60s"]).map(drop)
}

/// An uninstalled operator `one`, which was the default operator before, with a message in its channel `orders` in the
/// namespace `users`; and the current default operator `other`.
struct Uninstalled {
    one: Operator,
    other: Operator,
    users: String,
    /// The channel after the uninstall.
    left: Value,
}

impl Uninstalled {
    fn new(cluster: &'static ClusterInfo, default: &DefaultOperator, name: &str) -> Result<Self> {
        let kubectl = cluster.kubectl();
        let users = format!("{name}-users");
        kubectl.run(&["create", "namespace", &users])?;
        let mut one = Operator::start(cluster, &format!("{name}-one"), &[])?;
        let other = Operator::start(cluster, &format!("{name}-other"), &[])?;
        one.broker_becomes_ready("main", "")?;
        other.broker_becomes_ready("main", "")?;
        default.becomes(&one)?;
        kubectl.apply(&channel_of_the_default_operator(&users, "orders"))?;
        kubectl.wait_for("condition=Ready", SOON, &["-n", &users, "messagechannel/orders"])?;
        one.send("main", &format!("{users}/orders"), "kept")?;
        default.becomes(&other)?;
        one.stop()?;
        other.reconciles_after(|| one.release_finalizers())?;
        let left = kubectl.json(&["-n", &users, "get", "mc", "orders"])?;
        Ok(Self { one, other, users, left })
    }

    fn becomes_ready(&self) -> Result<Value> {
        let kubectl = self.other.kubectl();
        kubectl.wait_for("condition=Ready", SOON, &["-n", &self.users, "messagechannel/orders"])?;
        kubectl.json(&["-n", &self.users, "get", "mc", "orders"])
    }

    fn broker_is_of(channel: &Value, operator: &Operator) -> Result<()> {
        let broker = &channel["status"]["broker"];
        ensure!(*broker == format!("{}/main", operator.namespace), "the status names {broker}");
        Ok(())
    }
}

#[test]
fn a_channel_of_an_uninstalled_operator_reports_that_and_continues_when_it_is_installed_again() -> Result<()>
{
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let default = DefaultOperator::none(cluster);
    let mut uninstalled = Uninstalled::new(cluster, &default, "gone")?;
    let (kubectl, left) = (cluster.kubectl(), &uninstalled.left);
    ensure!(finalizers(left).is_empty(), "{left:#}");
    condition_is(left, "Ready", "False", "OperatorUninstalled")?;
    condition_is(left, "Programmed", "True", "Programmed")?;
    ensure!(left["status"]["source"] == "gone-users/orders", "{}", left["status"]);
    Uninstalled::broker_is_of(left, &uninstalled.one)?;

    let annotate = ["-n", "gone-users", "annotate", "mc", "orders", "edit=one"];
    let mut edited = None;
    uninstalled.other.reconciles_after(|| {
        edited = Some(version(&kubectl.json(&annotate)?)?);
        Ok(())
    })?;
    let now = kubectl.json(&["-n", "gone-users", "get", "mc", "orders"])?;
    ensure!(Some(version(&now)?) == edited, "the default operator wrote to the channel: {now:#}");

    uninstalled.one = Operator::start_again(cluster, "gone-one", &[])?;
    let again = uninstalled.becomes_ready()?;
    ensure!(finalizers(&again) == ["restante.dev/gone-one"]);
    Uninstalled::broker_is_of(&again, &uninstalled.one)?;
    uninstalled.one.receive("main", "gone-users/orders", "kept")
}

#[test]
fn the_command_in_the_condition_hands_a_channel_of_an_uninstalled_operator_to_the_default_one() -> Result<()>
{
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let default = DefaultOperator::none(cluster);
    let uninstalled = Uninstalled::new(cluster, &default, "given")?;
    let reported = condition_is(&uninstalled.left, "Ready", "False", "OperatorUninstalled")?;
    let status = r#"{"status":{"broker":null}}"#;
    let command = "patch mc orders -n given-users --subresource=status --type=merge -p";
    ensure!(reported.ends_with(&format!("`kubectl {command} '{status}'`")), "{reported}");
    let words: Vec<&str> = command.split(' ').chain([status]).collect();
    cluster.kubectl().run(&words)?;
    let given = uninstalled.becomes_ready()?;
    ensure!(finalizers(&given) == ["restante.dev/given-other"]);
    Uninstalled::broker_is_of(&given, &uninstalled.other)?;
    uninstalled.other.send("main", "given-users/orders", "new")?;
    uninstalled.other.receive("main", "given-users/orders", "new")
}

#[test]
fn an_uninstall_logs_the_channels_whose_status_it_cannot_write() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let mut operator = Operator::start(cluster, "untold", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("untold", "named", "main", "")?;
    operator.stop()?;
    let kubectl = cluster.kubectl();
    // Channels that name no operator: only the finalizer, and for `known` the status, name it.
    let unnamed = channel_of_the_default_operator("untold", "known")
        .replace("namespace: untold}", "namespace: untold, finalizers: [restante.dev/untold]}");
    kubectl.apply(&unnamed)?;
    kubectl.apply(&unnamed.replace("name: known", "name: unknown"))?;
    let status = r#"{"status":{"broker":"untold/main"}}"#;
    let patch =
        ["patch", "mc", "known", "-n", "untold", "--subresource=status", "--type=merge", "-p", status];
    kubectl.run(&patch)?;
    deny_statuses(cluster, "untold")?;
    let log = operator.release_finalizers_log()?;
    let line = |name: &str| {
        let channel = format!("channel={name:?}");
        let line =
            log.lines().find(|line| line.contains("released without a report") && line.contains(&channel));
        line.with_context(|| format!("no line about {name} in\n{log}"))
    };
    for name in ["named", "known"] {
        let line = line(name)?;
        ensure!(line.contains("the channel waits for an operator in namespace untold"), "{line}");
        ensure!(!line.contains("default operator"), "{line}");
    }
    let line = line("unknown")?;
    ensure!(line.contains("the default operator may take over the channel"), "{line}");
    kubectl.run(&["delete", "validatingadmissionpolicybinding", "untold"]).map(drop)
}

/// Makes the API server refuse every status of a channel in a namespace.
fn deny_statuses(cluster: &ClusterInfo, namespace: &str) -> Result<()> {
    let kubectl = cluster.kubectl();
    let rule = json!({
        "apiGroups": ["restante.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
        "resources": ["messagechannels/status"],
    });
    admission::deny(&kubectl, namespace, rule, "no status for anyone")?;
    wait::until("the policy to be in force", SOON, || {
        let status = r#"{"status":{"source":"untold/probe"}}"#;
        let patch = ["patch", "mc", "unknown", "-n", namespace, "--subresource=status", "--type=merge"];
        let refused = kubectl.run(&[&patch[..], &["--dry-run=server", "-p", status]].concat());
        ensure!(
            refused.is_err_and(|error| format!("{error:#}").contains("no status for anyone")),
            "the policy is not in force yet"
        );
        Ok(())
    })
}
