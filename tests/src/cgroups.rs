//! The cgroups of containers. As the kubelet does not manage cgroups, they are where containerd puts them:
//! `/k8s.io/<container>` in every hierarchy, for containers of all clusters. A container's id is unique.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{leftovers::names_in, wait};

/// Root of the one hierarchy of cgroups version 2, or folder of the hierarchies of version 1.
const ROOT: &str = "/sys/fs/cgroup";

/// Time limit for the kernel to free a cgroup whose processes were killed.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);

/// The existing cgroups of a container, one in each hierarchy.
pub fn of_container(id: &str) -> Vec<PathBuf> {
    let groups = hierarchies().into_iter().map(|root| root.join("k8s.io").join(id));
    groups.filter(|group| group.is_dir()).collect()
}

/// Kills every process in the container's cgroups, and removes the cgroups.
pub fn remove(id: &str) -> Result<()> {
    for group in of_container(id) {
        wait::until(&format!("the end of cgroup {}", group.display()), EMPTY_WITHIN, || remove_tree(&group))?;
    }
    Ok(())
}

fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.procs").exists() {
        return vec![root];
    }
    names_in(&root).into_iter().map(|name| root.join(name)).filter(|path| path.is_dir()).collect()
}

/// Removes children first: only a cgroup without children and processes can be removed.
fn remove_tree(group: &Path) -> io::Result<()> {
    for child in names_in(group).into_iter().map(|name| group.join(name)).filter(|path| path.is_dir()) {
        remove_tree(&child)?;
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for id in processes.lines().filter_map(|id| id.parse().ok()) {
        // The process may have ended by itself.
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
