//! The cgroups of a cluster's pods: all lie below one whose name is the run's, in every hierarchy, so that they can be
//! removed with whatever is in them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{leftovers::names_in, wait};

/// Where cgroups are: the root of the one hierarchy of version 2, or the folder of the hierarchies of version 1.
const ROOT: &str = "/sys/fs/cgroup";

/// How long the kernel may take to let go of a cgroup whose processes were killed.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);

/// The names of all cgroups at the top, in all hierarchies.
pub fn names() -> Vec<String> {
    let all: BTreeSet<String> = hierarchies().iter().flat_map(|root| names_in(root)).collect();
    all.into_iter().collect()
}

/// Ends every process below the cgroup called `name`, and removes it.
pub fn remove(name: &str) -> Result<()> {
    for top in hierarchies().into_iter().map(|root| root.join(name)).filter(|top| top.is_dir()) {
        wait::until(&format!("the end of cgroup {}", top.display()), EMPTY_WITHIN, || {
            remove_tree(&top).map_err(|error| format!("{} is in use: {error}", top.display()))
        })?;
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

/// Children first: a cgroup can be removed when it has neither children nor processes.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    for child in names_in(group).into_iter().map(|name| group.join(name)).filter(|path| path.is_dir()) {
        remove_tree(&child)?;
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for id in processes.lines().filter_map(|id| id.parse().ok()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
