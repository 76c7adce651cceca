//! `helm`, as a person would use it.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command::run, netns, tools::Tools};

/// A user's `helm`, with its own caches, so that the machine's are not touched.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    network_namespace: String,
    home: PathBuf,
}

impl Helm {
    /// For somebody outside of the cluster's network.
    pub fn in_namespace(network_namespace: &str, tools: &Tools, kubeconfig: PathBuf, home: PathBuf) -> Self {
        let network_namespace = network_namespace.to_owned();
        Self { program: tools.path("helm"), kubeconfig, network_namespace, home }
    }

    /// `helm` with these words; what it prints.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = netns::command_in(&self.network_namespace, &self.program);
        command.env("KUBECONFIG", &self.kubeconfig);
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.home.join(folder));
        }
        run(command.args(words))
    }
}
