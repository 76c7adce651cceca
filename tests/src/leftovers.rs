//! What runs that were killed have left: processes, network namespaces, cgroups, folders. The next run clears it. Only
//! things whose name says that they belonged to a run that is no more are touched.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cgroups,
    cluster::containerd,
    command::{command, run},
    netns,
    run_name::RunName,
};

/// Clears what dead runs have left. Needs root.
pub fn clear() -> Result<()> {
    for name in dead(names_in(Path::new(netns::FOLDER))) {
        let cleared =
            end_all_in(&name).and_then(|()| run(&mut command("ip", ["netns", "delete", &name])).map(drop));
        // Clusters that start at the same time clear the same things.
        if cleared.is_err() && netns::path(&name).exists() {
            return cleared;
        }
    }
    for name in dead(names_in(&env::temp_dir())) {
        let folder = env::temp_dir().join(name);
        remove_cgroups(&folder)?;
        // A folder that a process just killed still writes to can be cleared the next time.
        let _ = fs::remove_dir_all(folder);
    }
    Ok(())
}

/// Ends the processes of a network namespace, and those of the containers whose shims are in it.
pub fn end_all_in(network_namespace: &str) -> Result<()> {
    let inside = run(&mut command("ip", ["netns", "pids", network_namespace]))?;
    end_with_descendants(inside.lines().filter_map(|id| id.trim().parse().ok()));
    Ok(())
}

/// Removes the cgroups of the containers that a cluster's folder knows, and ends what is in them.
pub fn remove_cgroups(cluster_folder: &Path) -> Result<()> {
    containerd::containers(cluster_folder).iter().try_for_each(|container| cgroups::remove(container))
}

/// Those of the names that belong to a run which has ended.
fn dead(names: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    names.into_iter().filter(|name| RunName::owner_of(name).is_some_and(|owner| !owner.is_alive()))
}

/// Names in a folder; none if it cannot be read.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// SIGKILL for these processes and all that descend from them: a pod's processes are children of its containerd shim,
/// which is in the cluster's namespace, but are in one of their own.
fn end_with_descendants(ids: impl Iterator<Item = i32>) {
    let mut all: BTreeSet<i32> = ids.collect();
    let mut waiting: Vec<i32> = all.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        for child in children(id) {
            if all.insert(child) {
                waiting.push(child);
            }
        }
    }
    for id in all {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// The children of all threads of a process (proc(5), `/proc/<pid>/task/<tid>/children`).
fn children(id: i32) -> Vec<i32> {
    let tasks = PathBuf::from(format!("/proc/{id}/task"));
    let read = |task| fs::read_to_string(tasks.join(task).join("children")).unwrap_or_default();
    let lists: Vec<String> = names_in(&tasks).into_iter().map(read).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}
