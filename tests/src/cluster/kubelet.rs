//! kubelet: runs the pods of the one node.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{containerd, context::Context, kubeconfig, network};
use crate::{certificates::Subject, process::Process};

/// Starts the kubelet. The API server shows when the node is ready.
pub fn start(context: &Context) -> Result<Process> {
    let user = format!("system:node:{}", network::NODE_NAME);
    let subject = Subject { user: &user, group: Some("system:nodes") };
    let kubeconfig = kubeconfig::write(&context.folder, &context.authority, "kubelet", subject)?;
    let config = context.folder.write("kubelet.json", &config(context)?)?;
    let mut kubelet = Command::new(context.tools.path("kubelet"));
    kubelet.arg("--config").arg(config).arg("--kubeconfig").arg(kubeconfig);
    // A loopback address would be refused as a node's address.
    kubelet.args(["--hostname-override", network::NODE_NAME, "--node-ip", &network::NODE.to_string()]);
    context.start("kubelet", &kubelet)
}

/// Configuration of a kubelet that manages nothing of the machine except its pods: only the cgroups of pods, and no
/// eviction if other processes fill disk or memory. JSON is valid YAML.
fn config(context: &Context) -> Result<String> {
    let Context { folder, authority, .. } = context;
    // Pods have no DNS: they need none, and the machine's resolver would not answer them.
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
        // Short intervals, because tests wait for the status at the API server.
        "nodeStatusUpdateFrequency": "2s",
        "syncFrequency": "5s",
    })
    .to_string())
}
