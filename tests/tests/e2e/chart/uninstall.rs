//! An uninstall ends and removes all objects of the release, even if its operator cannot run.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use restante_tests::cluster::info::ClusterInfo;

use super::release::{BESIDE_OTHERS, Release, SOON, create_namespace, empty_cluster};
use crate::shared;

/// Longer than the job's time-out in these tests, and far shorter than Helm's default time-out of 300 s.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// No registry listens at this address, so the pull fails at once.
fn with_wrong_image() -> String {
    format!(
        "{BESIDE_OTHERS}image: {{operator: {{repository: 127.0.0.1:1/nowhere}}}}\n\
         uninstallHook: {{timeoutSeconds: 10}}\n"
    )
}

#[test]
fn a_release_whose_image_cannot_be_pulled_can_be_uninstalled_and_installed_again() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "wrong-image");
    release.install_without_waiting(&with_wrong_image())?;
    uninstall_ends(&release)?;
    release.install(BESIDE_OTHERS)?;
    release.broker_becomes_ready("default")?;
    release.uninstall().map(drop)
}

#[test]
fn an_uninstall_with_a_wrong_image_ends_and_leaves_the_channels_unchanged() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "wrong-upgrade");
    let kubectl = release.kubectl();
    release.install(BESIDE_OTHERS)?;
    release.broker_becomes_ready("default")?;
    create_namespace(&kubectl, "wrong-channels")?;
    kubectl.apply(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {name: orders, namespace: wrong-channels}\n\
         spec:\n  access: {anonymous: true}\n  brokerRef: {name: default, namespace: wrong-upgrade}\n",
    )?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "wrong-channels", "messagechannel/orders"])?;
    release.upgrade_without_waiting(&with_wrong_image())?;
    uninstall_ends(&release)?;
    let channel = kubectl.json(&["-n", "wrong-channels", "get", "mc", "orders"])?;
    ensure!(channel["metadata"].get("finalizers").is_some(), "the finalizer was removed: {channel}");
    Ok(())
}

#[test]
fn an_uninstall_updates_brokers_made_by_hand_and_reports_deleted_channels() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "by-hand");
    let kubectl = release.kubectl();
    release.install(BESIDE_OTHERS)?;
    kubectl.apply(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageBroker\nmetadata: {name: mine, namespace: by-hand}\nspec: {}\n",
    )?;
    release.broker_becomes_ready("mine")?;
    // The operator is stopped, so the deleted channel keeps its finalizer until the uninstall.
    create_namespace(&kubectl, "by-hand-users")?;
    kubectl.apply(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {name: orders, namespace: by-hand-users}\n\
         spec:\n  access: {anonymous: true}\n  brokerRef: {name: mine, namespace: by-hand}\n",
    )?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "by-hand-users", "messagechannel/orders"])?;
    kubectl.run(&["-n", "by-hand", "scale", "deployment", "--all", "--replicas=0"])?;
    let operator = "--selector=app.kubernetes.io/component=operator";
    kubectl.run(&["-n", "by-hand", "wait", "pods", operator, "--for=delete", "--timeout=90s"])?;
    kubectl.run(&["-n", "by-hand-users", "delete", "mc", "orders", "--wait=false"])?;
    release.uninstall()?;
    let broker = kubectl.json(&["-n", "by-hand", "get", "messagebroker", "mine"])?;
    let conditions = broker["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
    let ready = ready.map(|ready| (&ready["status"], &ready["reason"]));
    ensure!(
        ready.is_some_and(|(status, reason)| status == "Unknown" && reason == "OperatorUninstalled"),
        "{broker}"
    );
    let events =
        kubectl.run(&["-n", "by-hand-users", "get", "events", "-o", "custom-columns=:.reason,:.message"])?;
    ensure!(events.contains("Orphaned") && events.contains("its operator is uninstalled"), "{events}");
    Ok(())
}

/// Checks that an uninstall ends soon, reports the failed job, and leaves no objects of the release.
fn uninstall_ends(release: &Release) -> Result<()> {
    let began = Instant::now();
    let said = match release.helm(&["uninstall", "restante"]) {
        Ok(said) => bail!("the job cannot have run, but helm reported success: {said}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(began.elapsed() < ENDS_WITHIN, "it took {:?}", began.elapsed());
    ensure!(said.contains("uninstallation completed with 1 error"), "{said}");
    ensure!(said.contains("release-finalizers-restante"), "{said}");
    let left = release.objects()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let releases = release.helm(&["list", "--short"])?;
    ensure!(releases.is_empty(), "{releases}");
    Ok(())
}

const DEFINITIONS: [&str; 2] = ["crd/messagechannels.restante.dev", "crd/messagebrokers.restante.dev"];

#[test]
fn an_uninstall_that_keeps_no_definitions_deletes_them_with_their_channels() -> Result<()> {
    let Some(cluster) = empty_cluster()? else { return Ok(()) };
    let release = serving_a_channel(&cluster.info)?;
    let kubectl = release.kubectl();
    release.uninstall()?;
    kubectl.wait_for("delete", SOON, &DEFINITIONS)?;
    let left = release.objects()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    kubectl.run(&["delete", "namespace", "acme", "--timeout=60s"]).map(drop)
}

#[test]
fn an_install_is_refused_while_a_definition_waits_for_its_objects() -> Result<()> {
    let Some(cluster) = empty_cluster()? else { return Ok(()) };
    let release = serving_a_channel(&cluster.info)?;
    let kubectl = release.kubectl();
    release.helm(&["uninstall", "restante", "--no-hooks"])?;
    kubectl.wait_for("condition=Terminating", SOON, &DEFINITIONS[..1])?;

    let Err(refusal) = release.install("") else {
        bail!("the install succeeded although the definitions are being deleted")
    };
    let refusal = format!("{refusal:#}");
    ensure!(refusal.contains("messagechannels.restante.dev is being deleted"), "{refusal}");

    let nothing = "{\"metadata\": {\"finalizers\": null}}";
    kubectl.run(&["-n", "acme", "patch", "mc", "orders", "--type=merge", "-p", nothing])?;
    kubectl.wait_for("delete", SOON, &DEFINITIONS)?;
    release.install("")?;
    release.broker_becomes_ready("default")
}

/// Installs a release with a channel, whose uninstall deletes the definitions.
fn serving_a_channel(cluster: &ClusterInfo) -> Result<Release> {
    let release = Release::new(cluster, "restante-system");
    let kubectl = release.kubectl();
    release.install("crds: {keep: false}")?;
    create_namespace(&kubectl, "acme")?;
    kubectl.apply(
        "apiVersion: restante.dev/v1alpha1\nkind: MessageChannel\nmetadata: {name: orders, namespace: acme}\n\
         spec:\n  access: {anonymous: true}\n",
    )?;
    kubectl.wait_for("condition=Ready", SOON, &["-n", "acme", "messagechannel/orders"])?;
    Ok(release)
}
