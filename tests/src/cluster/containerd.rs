//! containerd, with runc, and the CNI bridge that gives pods their network.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{context::Context, network};
use crate::{
    cgroups, command::run, config::Config, images::PAUSE, leftovers::names_in, process::Process, wait,
};

/// Time limit. On two idle cores, containerd takes half a second.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Folders of the CNI plugins: the first is of Debian's package containernetworking-plugins, the second of other
/// distributions.
const CNI_PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Starts containerd and waits until it answers.
pub fn start(context: &Context) -> Result<Process> {
    let folder = context.folder.sub("containerd")?;
    let networks = context.folder.sub("cni")?;
    context.folder.write("cni/cluster.conflist", &network_config(context)?)?;
    let config = context.folder.write("containerd/config.toml", &config(&folder, &networks)?)?;
    let path = format!("{}:{}", context.tools.folder().display(), Config::from_environment().path());
    let mut containerd = Command::new(context.tools.path("containerd"));
    // containerd searches PATH for its shim.
    containerd.arg("-c").arg(config).env("PATH", path);
    let mut process = context.start("containerd", &containerd)?;
    wait::until("containerd to answer", READY_WITHIN, || {
        process.check_running()?;
        run(ctr(context).arg("version"))
    })?;
    Ok(process)
}

/// containerd's socket.
pub fn socket(context: &Context) -> PathBuf {
    context.folder.path().join("containerd.sock")
}

/// The ids of all containers of a cluster, including the pause containers of pods. containerd has a folder for each,
/// which remains after containerd is killed.
pub fn containers(cluster_folder: &Path) -> Vec<String> {
    names_in(&cluster_folder.join("containerd/state/io.containerd.runtime.v2.task/k8s.io"))
}

/// Kills all containers and their shims.
pub fn end_all(context: &Context) -> Result<()> {
    for container in containers(context.folder.path()) {
        // The task may end by itself in the meantime; removing the cgroup shows whether it did.
        let _ = run(ctr(context).args(["tasks", "delete", "--force", &container]));
        cgroups::remove(&container)?;
    }
    Ok(())
}

fn ctr(context: &Context) -> Command {
    let mut ctr = Command::new(context.tools.path("ctr"));
    ctr.arg("--address").arg(socket(context)).args(["--namespace", "k8s.io"]);
    ctr
}

/// Disables NRI, whose socket has one path for the whole machine: of two clusters that start at the same moment, one would
/// fail with "address already in use".
///
/// Sets `restrict_oom_score_adj`: without CAP_SYS_RESOURCE, as in many containers and virtual machines, runc cannot
/// lower a pod's OOM score, and fails with "can't get final child's PID from pipe: EOF".
fn config(folder: &Path, networks: &Path) -> Result<String> {
    let socket = folder.with_extension("sock");
    let runc = find("runc", Config::from_environment().path().split(':'))?;
    let plugins = find("bridge", CNI_PLUGINS)?;
    let plugins = plugins.parent().context("a plugin has a parent folder")?;
    let [folder, networks, socket, runc, plugins] =
        [folder, networks, &socket, &runc, plugins].map(|path| path.display().to_string());
    Ok(format!(
        "version = 3
root = '{folder}/root'
state = '{folder}/state'
[grpc]
address = '{socket}'
[ttrpc]
address = '{socket}.ttrpc'
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{plugins}']
conf_dir = '{networks}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = '{runc}'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE}'
"
    ))
}

fn network_config(context: &Context) -> Result<String> {
    let addresses = context.folder.sub("addresses")?;
    let gateway = network::NODE.to_string();
    let bridge = json!({
        "type": "bridge",
        "bridge": network::BRIDGE,
        "isGateway": true,
        // Lets a pod reach itself through the address of its Service.
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "dataDir": addresses,
            "ranges": [[{"subnet": network::PODS, "gateway": gateway}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    });
    Ok(json!({"cniVersion": "1.0.0", "name": context.name, "plugins": [bridge]}).to_string())
}

fn find<'a>(program: &str, folders: impl IntoIterator<Item = &'a str>) -> Result<PathBuf> {
    let mut paths = folders.into_iter().map(|folder| Path::new(folder).join(program));
    paths
        .find(|path| path.is_file())
        .with_context(|| format!("{program} is not installed; run tests/install.sh"))
}
