//! Network namespaces and the veth pairs between them, by `ip` of iproute2.

use std::{fs::File, net::Ipv4Addr, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    command::{command, run},
    run_name::RunName,
};

/// A network namespace of this run, removed when it is dropped.
#[derive(Debug)]
pub struct NetworkNamespace {
    name: String,
}

/// One end of a veth pair: the interface's name and its address with the length of the network's prefix.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    /// The path's name of the namespace that the end lies in, as `ip netns` knows it.
    pub namespace: &'a str,
    /// At most 15 bytes (IFNAMSIZ), unique in its namespace.
    pub interface: &'a str,
    /// Of that interface.
    pub address: Ipv4Addr,
}

/// Two addresses and nothing else: network, both ends, broadcast.
const PAIR_PREFIX: u8 = 30;

impl NetworkNamespace {
    /// Makes a namespace with only a loopback interface, which is up.
    pub fn create(what: &str) -> Result<Self> {
        let namespace = Self { name: RunName::of_this_process().thing(what) };
        run(&mut command("ip", ["netns", "add", &namespace.name]))?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// As `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip` with these words in this namespace.
    pub fn ip(&self, words: &[&str]) -> Result<String> {
        run(Command::new("ip").args(["-netns", &self.name]).args(words))
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        // Nobody is left to tell; the next run clears what stays.
        let _ = run(&mut command("ip", ["netns", "delete", &self.name]));
    }
}

/// Where iproute2 keeps the names of network namespaces (ip-netns(8)).
pub const FOLDER: &str = "/run/netns";

/// The file that stands for a namespace: what `nsenter --net=` takes.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(name)
}

/// The namespace, opened, to be entered by setns(2).
pub fn open(name: &str) -> Result<File> {
    let path = path(name);
    File::open(&path).with_context(|| format!("network namespace {} cannot be opened", path.display()))
}

/// A command that runs in the namespace and in nothing else of its own: `ip netns exec` would mount a `/sys` of its own
/// too, without the cgroups that a kubelet looks for.
pub fn command_in(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", path(name).display())).arg("--").arg(program);
    command
}

/// Joins two namespaces by a cable, made inside them so that the machine's own namespace never sees it.
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
