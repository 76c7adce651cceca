//! kube-proxy: routes the addresses of Services with nftables in the cluster's network namespace.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{context::Context, kubeconfig, network};
use crate::{certificates::Subject, process::Process};

pub fn start(context: &Context) -> Result<Process> {
    let subject = Subject { user: "system:kube-proxy", group: None };
    let kubeconfig = kubeconfig::write(&context.folder, &context.authority, "kube-proxy", subject)?;
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": network::NODE,
        "clusterCIDR": network::PODS,
        "clientConnection": {"kubeconfig": kubeconfig},
        // The size of the connection table belongs to the machine, and cannot be set from a namespace.
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": network::NODE_NAME,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
    });
    let config = context.folder.write("kube-proxy.json", &config.to_string())?;
    context.start("kube-proxy", Command::new(context.tools.path("kube-proxy")).arg("--config").arg(config))
}
