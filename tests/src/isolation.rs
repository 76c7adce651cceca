//! A thread that lives in namespaces of its own: its sockets in a cluster's network, its mounts nobody else's. What it
//! starts lives there too. With the last of these processes every mount is gone, however it ended.

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

/// Folders that containerd, kubelet and CNI write to at fixed paths, whatever they are told: each is laid over by one
/// of the cluster's, so that two clusters do not meet there and nothing stays behind.
const FIXED_PATHS: [&str; 5] =
    ["/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"];

/// Moves the calling thread, for good, into the network namespace and into a new mount namespace, in which
/// [`FIXED_PATHS`] are subfolders of `folder`.
pub fn isolate(namespace: &str, folder: &Path) -> Result<()> {
    let network = netns::open(namespace)?;
    unshare(CloneFlags::CLONE_NEWNS).context("no new mount namespace: this needs root")?;
    // Mounts of the machine still come in (a namespace made later); those made here do not go out.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .context("the mounts of the machine cannot be kept apart")?;
    for path in FIXED_PATHS {
        let ours = folder.join("fixed").join(PathBuf::from(path).strip_prefix("/")?);
        fs::create_dir_all(&ours).with_context(|| format!("{} cannot be made", ours.display()))?;
        // Made on the machine where no package has made it yet, and left: to remove a mount point would take it away
        // from another cluster that uses it.
        fs::create_dir_all(path).with_context(|| format!("{path} cannot be made"))?;
        mount(Some(&ours), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| format!("{} cannot be mounted at {path}", ours.display()))?;
    }
    setns(&network, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("network namespace {namespace} cannot be entered"))
}
