//! kube-controller-manager and kube-scheduler: one of each, so that no leader need be elected.

use std::process::Command;

use anyhow::Result;

use super::{context::Context, kubeconfig};
use crate::{certificates::Subject, process::Process};

/// Starts the controllers of everything that Kubernetes itself brings: StatefulSets, Jobs, ServiceAccounts, ...
pub fn start_controller_manager(context: &Context) -> Result<Process> {
    let name = "kube-controller-manager";
    let mut command = with_kubeconfig(context, name)?;
    command.arg("--service-account-private-key-file").arg(context.folder.path().join("sa.key"));
    command
        .arg("--root-ca-file")
        .arg(context.authority.certificate())
        .arg("--use-service-account-credentials");
    context.start(name, &command)
}

/// Starts what gives pods their node.
pub fn start_scheduler(context: &Context) -> Result<Process> {
    let name = "kube-scheduler";
    context.start(name, &with_kubeconfig(context, name)?)
}

/// Both are known to the API server by the name of their program.
fn with_kubeconfig(context: &Context, program: &str) -> Result<Command> {
    let user = format!("system:{program}");
    let subject = Subject { user: &user, group: None };
    let kubeconfig = kubeconfig::write(&context.folder, &context.authority, program, subject)?;
    let mut command = Command::new(context.tools.path(program));
    // No port of their own: nobody asks them for anything.
    command.arg("--kubeconfig").arg(kubeconfig).args(["--leader-elect=false", "--secure-port=0"]);
    Ok(command)
}
