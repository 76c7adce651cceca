//! What somebody outside of it needs to know of a running cluster: one line of JSON on the standard output of
//! `control-plane`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{helm::Helm, kubectl::Kubectl, tools::Tools};

/// How a cluster is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The network namespace that it lives in, as `ip netns` knows it.
    pub network_namespace: String,
    /// The administrator's.
    pub kubeconfig: PathBuf,
    /// The programs.
    pub tools: Tools,
    /// Where containerd takes images.
    pub containerd_socket: PathBuf,
    /// Logs (`log/`), volumes (`volumes/`) and all else. It is removed with the cluster.
    pub folder: PathBuf,
}

impl ClusterInfo {
    /// `kubectl` as its administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::in_namespace(&self.network_namespace, &self.tools, self.kubeconfig.clone())
    }

    /// `helm` as its administrator.
    pub fn helm(&self) -> Helm {
        Helm::in_namespace(
            &self.network_namespace,
            &self.tools,
            self.kubeconfig.clone(),
            self.folder.join("helm"),
        )
    }
}
