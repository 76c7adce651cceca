//! Permissions of Kubernetes' own roles for Restante's kinds.

use anyhow::{Result, ensure};

use super::release::{BESIDE_OTHERS, Release, SOON};
use crate::shared;

#[test]
fn view_reads_edit_writes_channels_and_admin_writes_brokers() -> Result<()> {
    let Some(cluster) = shared::cluster_without_release() else { return Ok(()) };
    let release = Release::new(cluster, "access");
    release.install(BESIDE_OTHERS)?;
    let kubectl = release.kubectl();
    for role in ["view", "edit", "admin"] {
        let (user, role) = (format!("--user=access-{role}"), format!("--clusterrole={role}"));
        kubectl.run(&["-n", "access", "create", "rolebinding", &user[7..], &user, &role])?;
    }
    let may = |role: &str, verb: &str, resource: &str| -> Result<bool> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (of, user) = (format!("--subresource={subresource}"), format!("--as=access-{role}"));
        let words = ["-n", "access", "auth", "can-i", verb, resource, &of, &user];
        // For a denied action, the exit status is not 0.
        Ok(kubectl.run(&words).is_ok_and(|said| said.trim() == "yes"))
    };
    // A controller of Kubernetes adds the aggregated rules.
    restante_tests::wait::until("the roles to be aggregated", SOON, || {
        ensure!(may("admin", "create", "messagebrokers.restante.dev")?);
        ensure!(may("view", "list", "messagechannels.restante.dev")?);
        ensure!(may("edit", "create", "messagechannels.restante.dev")?);
        Ok::<_, anyhow::Error>(())
    })?;
    for (resource, verb, allowed) in [
        ("messagechannels.restante.dev", "watch", &["view", "edit", "admin"][..]),
        ("messagechannels.restante.dev", "deletecollection", &["edit", "admin"]),
        ("messagechannels.restante.dev", "patch", &["edit", "admin"]),
        ("messagebrokers.restante.dev", "get", &["view", "edit", "admin"]),
        ("messagebrokers.restante.dev", "delete", &["admin"]),
        ("messagebrokers.restante.dev", "update", &["admin"]),
        // Only the operator writes a status.
        ("messagechannels.restante.dev/status", "patch", &[]),
        ("messagebrokers.restante.dev/status", "update", &[]),
    ] {
        for role in ["view", "edit", "admin"] {
            let expected = allowed.contains(&role);
            ensure!(may(role, verb, resource)? == expected, "{role} may {verb} {resource}: {}", !expected);
        }
    }
    release.uninstall().map(drop)
}
