//! etcd, the API server's store.

use anyhow::Result;

use super::context::Context;
use crate::{command::command, process::Process};

/// etcd's URL for the API server.
pub const URL: &str = "http://127.0.0.1:2379";
const PEERS: &str = "http://127.0.0.1:2380";

/// Starts etcd, without fsync: its data need not outlive the cluster.
pub fn start(context: &Context) -> Result<Process> {
    let data = context.folder.sub("etcd")?;
    let members = format!("default={PEERS}");
    let flags = [
        ("--listen-client-urls", URL),
        ("--advertise-client-urls", URL),
        ("--listen-peer-urls", PEERS),
        ("--initial-advertise-peer-urls", PEERS),
        ("--initial-cluster", &members),
        ("--log-level", "warn"),
    ];
    let mut etcd = command(context.tools.path("etcd"), flags.iter().flat_map(|(flag, value)| [flag, value]));
    etcd.arg("--data-dir").arg(data).arg("--unsafe-no-fsync");
    context.start("etcd", &etcd)
}
