//! kube-controller-manager and kube-scheduler: one of each, so there is no leader election.

use std::process::Command;

use anyhow::Result;

use super::{context::Context, kubeconfig};
use crate::{certificates::Subject, process::Process};

/// Starts Kubernetes' own controllers: StatefulSets, Jobs, ServiceAccounts, ...
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

pub fn start_scheduler(context: &Context) -> Result<Process> {
    let name = "kube-scheduler";
    context.start(name, &with_kubeconfig(context, name)?)
}

/// A command whose user at the API server is named after the program.
fn with_kubeconfig(context: &Context, program: &str) -> Result<Command> {
    let user = format!("system:{program}");
    let subject = Subject { user: &user, group: None };
    let kubeconfig = kubeconfig::write(&context.folder, &context.authority, program, subject)?;
    let mut command = Command::new(context.tools.path(program));
    // No port, because the tests send them no requests.
    command.arg("--kubeconfig").arg(kubeconfig).args(["--leader-elect=false", "--secure-port=0"]);
    Ok(command)
}
