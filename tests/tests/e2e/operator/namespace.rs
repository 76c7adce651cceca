//! The namespace of an operator: its brokers end with the last operator that serves it, and free their disk.

use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use anyhow::{Context, Result};
use restante_tests::{cluster::info::ClusterInfo, kubectl::Kubectl};

/// Shared by the operators that serve one namespace. The last to drop it ends the pods and removes their files: a
/// store takes 320 MiB at its start, and the brokers of all tests together fill a disk.
#[derive(Debug)]
pub(super) struct ServedNamespace {
    cluster: &'static ClusterInfo,
    name: String,
}

impl ServedNamespace {
    /// The namespace as the operators that run have it, or as the first of them.
    pub(super) fn share(cluster: &'static ClusterInfo, name: &str) -> Arc<Self> {
        static SERVED: Mutex<Option<HashMap<String, Weak<ServedNamespace>>>> = Mutex::new(None);
        let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = served.get_or_insert_default().entry(name.to_owned()).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let first = Arc::new(Self { cluster, name: name.to_owned() });
            *slot = Arc::downgrade(&first);
            first
        })
    }

    fn end(&self) -> Result<()> {
        let kubectl = self.cluster.kubectl();
        end_pods(&kubectl, &self.name)?;
        let volumes = kubectl.json(&["get", "persistentvolumes"])?;
        for volume in volumes["items"].as_array().context("the volumes are a list")? {
            if volume["spec"]["claimRef"]["namespace"] == self.name.as_str() {
                let path = volume["spec"]["hostPath"]["path"].as_str().context("a volume is a folder")?;
                remove_files(Path::new(path))?;
            }
        }
        Ok(())
    }
}

impl Drop for ServedNamespace {
    fn drop(&mut self) {
        // A test that has passed does not fail here, and one that has failed says why itself. What stays is removed
        // with the cluster.
        let _ = self.end();
    }
}

fn end_pods(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    kubectl.run(&["-n", namespace, "delete", "statefulset", "--all", "--cascade=orphan"])?;
    kubectl.run(&["-n", namespace, "delete", "pod", "--all", "--grace-period=1", "--timeout=60s"])?;
    Ok(())
}

/// Removes what is in the folder, which the volume keeps.
fn remove_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
