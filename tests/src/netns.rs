//! Network namespaces and the veth pairs between them, made with `ip` of iproute2.

use std::{fs::File, net::Ipv4Addr, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    command::{command, run},
    run_name::RunName,
};

/// A network namespace of this run, removed on drop.
#[derive(Debug)]
pub struct NetworkNamespace {
    name: String,
}

/// One end of a veth pair: its namespace, interface and address.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    /// Name of the end's namespace, as in `ip netns`.
    pub namespace: &'a str,
    /// Name of the interface: at most 15 bytes (IFNAMSIZ), unique in its namespace.
    pub interface: &'a str,
    /// Address of the interface.
    pub address: Ipv4Addr,
}

/// Prefix length of a network of four addresses: network, both ends, broadcast.
const PAIR_PREFIX: u8 = 30;

impl NetworkNamespace {
    /// Makes a namespace with only a loopback interface, in state up.
    pub fn create(what: &str) -> Result<Self> {
        let namespace = Self { name: RunName::of_this_process().thing(what) };
        run(&mut command("ip", ["netns", "add", &namespace.name]))?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The namespace's name in `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these arguments in this namespace.
    pub fn ip(&self, words: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-netns", &self.name]).args(words))
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        // An error cannot be reported here; the next run removes the rest.
        let _ = run(&mut command("ip", ["netns", "delete", &self.name]));
    }
}

/// Folder of iproute2 with the names of network namespaces (ip-netns(8)).
pub const FOLDER: &str = "/run/netns";

/// The file of a namespace, for `nsenter --net=`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name)
}

/// Opens a namespace, to enter it with setns(2).
pub fn open(name: &str) -> Result<File> {
    let path = path(name);
    File::open(&path).with_context(|| format!("cannot open the network namespace {}", path.display()))
}

/// A command that runs in the network namespace, and shares all other namespaces. `ip netns exec` would also mount
/// another `/sys`, without the cgroups that a kubelet needs.
pub fn command_in(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", path(name).display())).arg("--").arg(program);
    command
}

/// Connects two namespaces with a veth pair, which is made inside them and never visible in the machine's own
/// namespace.
pub fn join(one: VethEnd<'_>, other: VethEnd<'_>) -> Result<()> {
    let pair = [
        "link",
        "add",
        one.interface,
        "netns",
        one.namespace,
        "type",
        "veth",
        "peer",
        "name",
        other.interface,
        "netns",
        other.namespace,
    ];
    run(&mut command("ip", pair))?;
    for end in [one, other] {
        let address = format!("{}/{PAIR_PREFIX}", end.address);
        run(&mut command("ip", ["-netns", end.namespace, "address", "add", &address, "dev", end.interface]))?;
        run(&mut command("ip", ["-netns", end.namespace, "link", "set", end.interface, "up"]))?;
    }
    Ok(())
}
