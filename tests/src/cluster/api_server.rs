//! kube-apiserver.

use std::{process::Command, time::Duration};

use anyhow::Result;

use super::{context::Context, etcd, network};
use crate::{
    certificates::{Subject, service_account_keys},
    process::Process,
    wait,
};

/// Time limit. On two idle cores, the API server takes 4 s.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Starts the API server and waits until it is ready.
pub fn start(context: &Context) -> Result<Process> {
    let Context { folder, authority, tools, .. } = context;
    let serving = authority.sign("apiserver", Subject { user: "apiserver", group: None })?;
    let kubelets = Subject { user: "apiserver-kubelet-client", group: Some("system:masters") };
    let kubelets = authority.sign("apiserver-kubelet-client", kubelets)?;
    let (private, public) = service_account_keys(folder.path())?;
    let node = network::NODE.to_string();

    let mut server = Command::new(tools.path("kube-apiserver"));
    server
        .args(["--etcd-servers", etcd::URL])
        .args(["--bind-address", &node, "--advertise-address", &node])
        .args(["--secure-port", &network::API_PORT.to_string()])
        .args(["--service-cluster-ip-range", network::SERVICES])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--authorization-mode", "Node,RBAC"])
        // As on OpenShift: only a user who may delete an object may change its owner references.
        .args(["--enable-admission-plugins", "OwnerReferencesPermissionEnforcement"])
        .args(["--kubelet-preferred-address-types", "InternalIP"]);
    for (flag, file) in [
        ("--tls-cert-file", &serving.certificate),
        ("--tls-private-key-file", &serving.key),
        ("--client-ca-file", &authority.certificate()),
        ("--service-account-key-file", &public),
        ("--service-account-signing-key-file", &private),
        ("--kubelet-client-certificate", &kubelets.certificate),
        ("--kubelet-client-key", &kubelets.key),
        ("--kubelet-certificate-authority", &authority.certificate()),
    ] {
        server.arg(flag).arg(file);
    }
    let mut server = context.start("kube-apiserver", &server)?;
    wait::until("the API server to be ready", READY_WITHIN, || {
        server.check_running()?;
        context.kubectl.run(&["get", "--raw", "/readyz"])
    })?;
    Ok(server)
}
