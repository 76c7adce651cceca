//! `helm`, as a user runs it.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{command::run, netns, tools::Tools};

/// A user's `helm`, with separate caches, so that the machine's are not used.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
    cluster: Option<Cluster>,
}

/// A cluster for `helm`.
#[derive(Debug, Clone)]
struct Cluster {
    kubeconfig: PathBuf,
    network_namespace: String,
}

impl Helm {
    /// `helm` for a cluster whose network is another namespace.
    pub fn in_namespace(network_namespace: &str, tools: &Tools, kubeconfig: PathBuf, home: PathBuf) -> Self {
        let network_namespace = network_namespace.to_owned();
        Self {
            cluster: Some(Cluster { kubeconfig, network_namespace }),
            ..Self::without_cluster(tools, home)
        }
    }

    /// `helm` without a cluster, to render charts.
    pub fn without_cluster(tools: &Tools, home: PathBuf) -> Self {
        Self { program: tools.path("helm"), home, cluster: None }
    }

    /// Runs `helm` with these arguments and returns its output.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = match &self.cluster {
            Some(cluster) => {
                let mut command = netns::command_in(&cluster.network_namespace, &self.program);
                command.env("KUBECONFIG", &cluster.kubeconfig);
                command
            }
            None => {
                let mut command = Command::new(&self.program);
                command.env("KUBECONFIG", "/dev/null");
                command
            }
        };
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.join(folder));
        }
        run(command.args(words))
    }
}
