//! Leftovers of killed runs: processes, network namespaces, cgroups, folders. The next run removes them. It touches
//! only things with the name of a run that has ended.

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

/// Removes the leftovers of ended runs. Needs root.
pub fn clear() -> Result<()> {
    for name in dead(names_in(Path::new(netns::FOLDER))) {
        let cleared =
            end_all_in(&name).and_then(|()| run(&mut command("ip", ["netns", "delete", &name])).map(drop));
        // Clusters that start at the same time remove the same things.
        if cleared.is_err() && netns::path(&name).exists() {
            return cleared;
        }
    }
    for name in dead(names_in(&env::temp_dir())) {
        let folder = env::temp_dir().join(name);
        remove_cgroups(&folder)?;
        // A killed process may still be writing to the folder; the next run removes it then.
        let _ = fs::remove_dir_all(folder);
    }
    Ok(())
}

/// Kills the processes of a network namespace, and of the containers whose shims are in it.
pub fn end_all_in(network_namespace: &str) -> Result<()> {
    let inside = run(&mut command("ip", ["netns", "pids", network_namespace]))?;
    end_with_descendants(inside.lines().filter_map(|id| id.trim().parse().ok()));
    Ok(())
}

/// Kills the processes in the cgroups of a cluster's containers, and removes the cgroups.
pub fn remove_cgroups(cluster_folder: &Path) -> Result<()> {
    containerd::containers(cluster_folder).iter().try_for_each(|container| cgroups::remove(container))
}

/// The names that belong to a run that has ended.
fn dead(names: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    names.into_iter().filter(|name| RunName::owner_of(name).is_some_and(|owner| !owner.is_alive()))
}

/// Names of the files in a folder; empty if the folder cannot be read.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Sends SIGKILL to these processes and all their descendants. A pod's processes are children of its containerd shim;
/// the shim is in the cluster's namespace, but the pod has its own namespace.
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
        // The process may have ended by itself.
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
