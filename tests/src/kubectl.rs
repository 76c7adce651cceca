//! `kubectl`, as a person would use it.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    command::{run, run_with_input},
    netns,
    tools::Tools,
    wait,
};

/// A user's `kubectl`.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    network_namespace: Option<String>,
}

impl Kubectl {
    /// For a thread that is in the cluster's network itself.
    pub fn here(tools: &Tools, kubeconfig: PathBuf) -> Self {
        Self { program: tools.path("kubectl"), kubeconfig, network_namespace: None }
    }

    /// For the rest of the machine.
    pub fn in_namespace(network_namespace: &str, tools: &Tools, kubeconfig: PathBuf) -> Self {
        Self { network_namespace: Some(network_namespace.to_owned()), ..Self::here(tools, kubeconfig) }
    }

    /// The command with nothing after its name, for those who want more than its end and its output.
    pub fn command(&self) -> Command {
        let mut command = match &self.network_namespace {
            Some(namespace) => netns::command_in(namespace, &self.program),
            None => Command::new(&self.program),
        };
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// `kubectl` with these words; what it prints.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        run(self.command().args(words))
    }

    /// `kubectl apply -f -`.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        run_with_input(self.command().args(["apply", "-f", "-"]), manifest)
    }

    /// `kubectl <words> -o json`.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        let text = self.run(&[words, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {words:?} printed no JSON: {text}"))
    }

    /// Looks at an object until the probe has a value; the probe's error is what is not yet so.
    pub fn until<T>(
        &self,
        what: &str,
        within: Duration,
        words: &[&str],
        mut probe: impl FnMut(&Value) -> Result<T>,
    ) -> Result<T> {
        wait::until(what, within, || self.json(words).and_then(|object| probe(&object)))
    }

    /// `kubectl wait --for=<condition> <words>`.
    pub fn wait_for(&self, condition: &str, within: Duration, words: &[&str]) -> Result<()> {
        let (condition, within) = (format!("--for={condition}"), format!("--timeout={}s", within.as_secs()));
        self.run(&[&["wait", condition.as_str(), within.as_str()], words].concat()).map(drop)
    }
}
