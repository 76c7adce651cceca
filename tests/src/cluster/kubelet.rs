//! kubelet: runs the pods of the one node.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{containerd, context::Context, kubeconfig, network};
use crate::{certificates::Subject, process::Process};

/// Starts kubelet. That the node is ready is seen at the API server.
pub fn start(context: &Context) -> Result<Process> {
    let user = format!("system:node:{}", network::NODE_NAME);
    let subject = Subject { user: &user, group: Some("system:nodes") };
    let kubeconfig = kubeconfig::write(&context.folder, &context.authority, "kubelet", subject)?;
    let config = context.folder.write("kubelet.json", &config(context)?)?;
    let mut kubelet = Command::new(context.tools.path("kubelet"));
    kubelet.arg("--config").arg(config).arg("--kubeconfig").arg(kubeconfig);
    // Loopback would be refused as a node's address.
    kubelet.args(["--hostname-override", network::NODE_NAME, "--node-ip", &network::NODE.to_string()]);
    context.start("kubelet", &kubelet)
}

/// A kubelet that manages pods and nothing else of the machine: no cgroups but the pods', no eviction for a disk or
/// memory that others fill. JSON is YAML.
fn config(context: &Context) -> Result<String> {
    let Context { folder, authority, .. } = context;
    // Pods have no DNS: none is needed, and the machine's would not answer them.
    let resolver = folder.write("resolv.conf", "")?;
    Ok(json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "x509": {"clientCAFile": authority.certificate()},
            "webhook": {"enabled": true},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": folder.path().join("kubelet.crt"),
        "tlsPrivateKeyFile": folder.path().join("kubelet.key"),
        "containerRuntimeEndpoint": format!("unix://{}", containerd::socket(context).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "evictionHard": {},
        "resolvConf": resolver,
        "volumePluginDir": folder.sub("volume-plugins")?,
        // The API server is a hop away, and tests wait for what it says.
        "nodeStatusUpdateFrequency": "2s",
        "syncFrequency": "5s",
    })
    .to_string())
}
