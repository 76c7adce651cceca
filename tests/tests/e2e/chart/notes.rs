//! Helm's notes depend on the values and on the existing objects.

use anyhow::{Result, ensure};

use super::{
    messages::Channel,
    release::{BESIDE_OTHERS, Release, create_namespace},
};
use crate::shared;

#[test]
fn a_renamed_broker_continues_and_the_notes_name_it() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "renamed");
    let kubectl = release.kubectl();
    let notes = release.install(BESIDE_OTHERS)?;
    ensure!(!notes.contains("LEFT BEHIND"), "{notes}");
    ensure!(notes.contains("crds.install is false"), "{notes}");
    ensure!(notes.contains("operator.default is false"), "{notes}");
    ensure!(!notes.contains("uninstallHook"), "{notes}");
    release.broker_becomes_ready("default")?;
    create_namespace(&kubectl, "renamed-channels")?;
    let broker_ref = "{name: default, namespace: renamed}";
    let channel = Channel::full(&release, "default", ("renamed-channels", "orders"), broker_ref)?;

    let notes = release.upgrade(&format!("{BESIDE_OTHERS}broker: {{name: other}}\n"))?;
    ensure!(notes.contains("LEFT BEHIND: the MessageBroker default "), "{notes}");
    release.broker_becomes_ready("other")?;
    release.broker_becomes_ready("default")?;
    channel.becomes_ready()?;
    channel.is_full()?;

    // After renaming it back, the other broker is left behind. Its claim stays when it is deleted.
    let notes = release.upgrade(&format!("{BESIDE_OTHERS}uninstallHook: {{enabled: false}}\n"))?;
    ensure!(notes.contains("LEFT BEHIND: the MessageBroker other "), "{notes}");
    ensure!(notes.contains("uninstallHook"), "{notes}");
    kubectl.run(&["-n", "renamed", "delete", "messagebroker/other", "--timeout=60s"])?;
    release.get("pvc", "data-restante-other-0")?;

    // Disable the broker, and enable it again.
    let notes = release.upgrade(&format!("{BESIDE_OTHERS}broker: {{enabled: false}}\n"))?;
    ensure!(notes.contains("DELETED: the MessageBroker default"), "{notes}");
    let broker = ["-n", "renamed", "messagebroker/default", "statefulset/restante-default"];
    kubectl.wait_for("delete", super::release::SOON, &broker)?;
    release.upgrade(BESIDE_OTHERS)?;
    release.broker_becomes_ready("default")?;
    channel.becomes_ready()?;
    channel.becomes_full()?;
    channel.delivers_all_messages()?;
    release.uninstall()?;
    kubectl.run(&["delete", "namespace", "renamed", "renamed-channels", "--timeout=60s"]).map(drop)
}
