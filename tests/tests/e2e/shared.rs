//! The clusters that the tests of this binary share. They stop with the process.

use std::{path::Path, sync::OnceLock};

use anyhow::Result;
use restante_tests::{
    cluster::info::ClusterInfo, cluster_process::ClusterProcess, images, requirements, tools::workspace,
};

/// The program that runs a cluster.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_control-plane"))
}

/// The shared cluster, started by the first test that uses it. `None` without root: the test must skip itself.
pub(crate) fn cluster() -> Option<&'static ClusterInfo> {
    static SHARED: OnceLock<Result<ClusterProcess, String>> = OnceLock::new();
    get(&SHARED, start)
}

/// Another cluster, without a release: it has the custom resource definitions and the images, and each test starts its
/// own operator.
pub(crate) fn cluster_without_release() -> Option<&'static ClusterInfo> {
    static SHARED: OnceLock<Result<ClusterProcess, String>> = OnceLock::new();
    get(&SHARED, || {
        let cluster = start()?;
        let definitions = workspace().join("crds").display().to_string();
        let kubectl = cluster.info.kubectl();
        kubectl.run(&["apply", "--server-side", "-f", &definitions])?;
        for image in images::restante()? {
            image.import(&cluster.info.tools, &cluster.info.containerd_socket)?;
        }
        let kinds = ["crd/messagebrokers.restante.dev", "crd/messagechannels.restante.dev"];
        kubectl.run(&[&["wait", "--for=condition=Established", "--timeout=60s"], &kinds[..]].concat())?;
        Ok(cluster)
    })
}

fn start() -> Result<ClusterProcess> {
    ClusterProcess::start(program())
}

fn get(
    shared: &'static OnceLock<Result<ClusterProcess, String>>,
    start: impl FnOnce() -> Result<ClusterProcess>,
) -> Option<&'static ClusterInfo> {
    if !requirements::has_root() {
        return None;
    }
    match shared.get_or_init(|| start().map_err(|error| format!("{error:#}"))) {
        Ok(cluster) => Some(&cluster.info),
        Err(error) => panic!("the test cluster did not start: {error}"),
    }
}
