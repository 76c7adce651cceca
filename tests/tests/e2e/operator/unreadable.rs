//! A channel of a newer definition that this version cannot parse: its operator reports that, and no finalizer keeps
//! it.

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use restante_tests::cluster::info::ClusterInfo;

use super::{
    objects::{channel, condition_is, finalizers, version},
    process::{Operator, SOON},
};
use crate::shared;

/// A `deletionPolicy` of a later version.
const LATER: &str = "  deletionPolicy: Later\n";

/// Extends the definition like a later version, which still accepts everything that this version accepts.
fn install_later_version(cluster: &ClusterInfo) -> Result<()> {
    static LATER: OnceLock<Result<(), String>> = OnceLock::new();
    let patch = LATER.get_or_init(|| {
        let patch = "[{\"op\": \"add\", \"value\": \"Later\", \"path\": \"/spec/versions/0/schema/openAPIV3Schema/properties\
                     /spec/properties/deletionPolicy/enum/-\"}]";
        let words = ["patch", "crd", "messagechannels.restante.dev", "--type=json", "-p", patch];
        cluster.kubectl().run(&words).map(drop).map_err(|error| format!("{error:#}"))
    });
    patch.clone().map_err(|error| anyhow!("{error}"))
}

/// Applies a manifest of the later version, as soon as the API server serves that version.
fn apply(operator: &Operator, manifest: &str) -> Result<()> {
    restante_tests::wait::until("the later version to be served", SOON, || operator.kubectl().apply(manifest))
        .map(drop)
}

#[test]
fn only_the_owning_operator_reports_an_unreadable_channel() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    install_later_version(cluster)?;
    let one = Operator::start(cluster, "unread-one", &[])?;
    let other = Operator::start(cluster, "unread-other", &[])?;
    one.apply_broker("main", "")?;
    other.apply_broker("main", "")?;
    let kubectl = cluster.kubectl();
    apply(&one, &channel("unread-one", "orders", ("unread-one", "main"), LATER))?;
    let words = ["-n", "unread-one", "get", "mc", "orders"];
    kubectl.until("the channel to be reported as unreadable", SOON, &words, |channel| {
        condition_is(channel, "Accepted", "False", "Unreadable")?;
        condition_is(channel, "Ready", "False", "Unreadable")?;
        condition_is(channel, "Stalled", "True", "Unreadable").map(drop)
    })?;
    let annotate = ["-n", "unread-one", "annotate", "mc", "orders", "edit=one"];
    let mut edited = None;
    one.reconciles_after(|| {
        other.reconciles_after(|| {
            edited = Some(version(&kubectl.json(&annotate)?)?);
            Ok(())
        })
    })?;
    let channel = kubectl.json(&words)?;
    ensure!(Some(version(&channel)?) == edited, "an operator wrote to the channel: {channel:#}");
    Ok(())
}

#[test]
fn a_deleted_unreadable_channel_is_removed_with_an_event() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    install_later_version(cluster)?;
    let operator = Operator::start(cluster, "unread-goes", &[])?;
    operator.broker_becomes_ready("main", "")?;
    operator.channel_becomes_ready("unread-goes", "orders", "main", "")?;
    operator.send("main", "unread-goes/orders", "kept")?;
    apply(&operator, &channel("unread-goes", "orders", ("unread-goes", "main"), LATER))?;
    let kubectl = cluster.kubectl();
    let words = ["-n", "unread-goes", "get", "mc", "orders"];
    let held = kubectl.json(&words)?;
    ensure!(finalizers(&held) == ["restante.dev/unread-goes"], "{:?}", finalizers(&held));
    kubectl.run(&["-n", "unread-goes", "delete", "mc", "orders", "--timeout=60s"])?;
    let event = operator.event("unread-goes", "Orphaned", "orders")?;
    let uid = held["metadata"]["uid"].as_str().context("an object has a UID")?;
    ensure!(event["regarding"]["uid"] == uid, "{event}");
    Ok(())
}
