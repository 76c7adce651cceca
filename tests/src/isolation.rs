//! Isolation of a thread and its children in the cluster's network namespace and a private mount namespace. When the
//! last process ends, even by a crash, its mounts disappear.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};

use crate::netns;

/// Fixed paths that containerd, kubelet and CNI write to, independent of their configuration. A folder of the cluster
/// is mounted over each, so that two clusters do not conflict and no files remain.
const FIXED_PATHS: [&str; 5] =
    ["/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"];

/// Moves the calling thread permanently into the network namespace and into a new mount namespace, in which
/// [`FIXED_PATHS`] are subfolders of `folder`.
pub fn isolate(namespace: &str, folder: &Path) -> Result<()> {
    let network = netns::open(namespace)?;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace; this needs root")?;
    // Later mounts of the machine are still visible here (a new namespace), but mounts made here are not visible
    // outside.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .context("cannot separate the mounts from the machine's")?;
    for path in FIXED_PATHS {
        let ours = folder.join("fixed").join(PathBuf::from(path).strip_prefix("/")?);
        fs::create_dir_all(&ours).with_context(|| format!("cannot create {}", ours.display()))?;
        // Made on the machine if no package has made it, and never removed: another cluster may use the mount point.
        fs::create_dir_all(path).with_context(|| format!("cannot create {path}"))?;
        mount(Some(&ours), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| format!("cannot mount {} at {path}", ours.display()))?;
    }
    setns(&network, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("cannot enter the network namespace {namespace}"))
}
