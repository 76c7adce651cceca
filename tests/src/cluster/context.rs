//! Settings that the components of a cluster share.

use std::sync::Arc;

use anyhow::Result;

use super::folder::Folder;
use crate::{certificates::Authority, kubectl::Kubectl, process::Process, tools::Tools};

/// Settings that the components of one cluster share.
#[derive(Debug)]
pub struct Context {
    pub tools: Tools,
    /// The cluster's folder. It is also held outside of the cluster's mount namespace, because it can only be removed
    /// there: inside, parts of it are mounted.
    pub folder: Arc<Folder>,
    /// Signs the certificates of all components.
    pub authority: Authority,
    pub kubectl: Kubectl,
    /// The name of the cluster's network namespace, and of its pods' network.
    pub name: String,
}

impl Context {
    /// Starts a component with its log in the cluster's folder.
    pub fn start(&self, name: &str, command: &std::process::Command) -> Result<Process> {
        Process::start(name, command, &self.folder.sub("log")?.join(format!("{name}.log")))
    }
}
