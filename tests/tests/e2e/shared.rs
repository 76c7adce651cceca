//! The cluster that the tests of this binary share. It ends with the process.

use std::{path::Path, sync::OnceLock};

use restante_tests::{cluster::info::ClusterInfo, cluster_process::ClusterProcess, requirements};

/// The program that runs a cluster.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_control-plane"))
}

/// The shared cluster, started by the first test that asks; none without root, and the test is told to skip itself.
pub(crate) fn cluster() -> Option<&'static ClusterInfo> {
    static SHARED: OnceLock<Result<ClusterProcess, String>> = OnceLock::new();
    if !requirements::has_root() {
        return None;
    }
    let shared =
        SHARED.get_or_init(|| ClusterProcess::start(program()).map_err(|error| format!("{error:#}")));
    match shared {
        Ok(cluster) => Some(&cluster.info),
        Err(error) => panic!("there is no cluster to test with: {error}"),
    }
}
