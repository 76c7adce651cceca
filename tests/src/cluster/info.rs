//! Information to use a running cluster from outside: one line of JSON on the standard output of `control-plane`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{helm::Helm, kubectl::Kubectl, tools::Tools};

/// Information to use a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The cluster's network namespace, as in `ip netns`.
    pub network_namespace: String,
    pub kubeconfig: PathBuf,
    pub tools: Tools,
    /// containerd's socket, to import images.
    pub containerd_socket: PathBuf,
    /// Logs (`log/`), volumes (`volumes/`) and other files. The folder is removed with the cluster.
    pub folder: PathBuf,
}

impl ClusterInfo {
    /// `kubectl` as the cluster's administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::in_namespace(&self.network_namespace, &self.tools, self.kubeconfig.clone())
    }

    /// `helm` as the cluster's administrator.
    pub fn helm(&self) -> Helm {
        Helm::in_namespace(
            &self.network_namespace,
            &self.tools,
            self.kubeconfig.clone(),
            self.folder.join("helm"),
        )
    }
}
