//! `kubectl`, as a user runs it.

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
    /// `kubectl` for a thread inside the cluster's network namespace.
    pub fn here(tools: &Tools, kubeconfig: PathBuf) -> Self {
        Self { program: tools.path("kubectl"), kubeconfig, network_namespace: None }
    }

    /// `kubectl` for the rest of the machine.
    pub fn in_namespace(network_namespace: &str, tools: &Tools, kubeconfig: PathBuf) -> Self {
        Self { network_namespace: Some(network_namespace.to_owned()), ..Self::here(tools, kubeconfig) }
    }

    /// The command without arguments, for callers that need more than its exit status and output.
    pub fn command(&self) -> Command {
        let mut command = match &self.network_namespace {
            Some(namespace) => netns::command_in(namespace, &self.program),
            None => Command::new(&self.program),
        };
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs `kubectl` with these arguments and returns its output.
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
        serde_json::from_str(&text)
            .with_context(|| format!("the output of kubectl {words:?} is not JSON: {text}"))
    }

    /// Reads an object until the probe returns a value. The probe's error describes the missing condition.
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
