//! The cluster's network: one namespace, with one bridge for the node and its pods.

use std::{fs, net::Ipv4Addr};

use anyhow::{Context, Result};

use crate::netns::NetworkNamespace;

/// The node's address, and the gateway of its pods.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
/// Address range of pods.
pub const PODS: &str = "10.88.0.0/24";
/// Address range of Services.
pub const SERVICES: &str = "10.0.0.0/24";
/// The first address of the range of Services: the Service of the API server.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const API_PORT: u16 = 6443;
pub const BRIDGE: &str = "cluster0";
pub const NODE_NAME: &str = "node";

/// Makes the namespace with its bridge and route.
pub fn create(what: &str) -> Result<NetworkNamespace> {
    let namespace = NetworkNamespace::create(what)?;
    namespace.ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    namespace.ip(&["address", "add", &format!("{NODE}/24"), "dev", BRIDGE])?;
    namespace.ip(&["link", "set", BRIDGE, "up"])?;
    // The route leads nowhere, but the API server does not start without one.
    namespace.ip(&["route", "add", "default", "dev", BRIDGE])?;
    Ok(namespace)
}

/// Enables forwarding of packets between pods and from clients to pods. Must be called inside the namespace, to which
/// the setting belongs.
pub fn forward() -> Result<()> {
    // Through the thread's root: /proc/sys shows the namespace of the thread that opens it.
    fs::write("/proc/thread-self/root/proc/sys/net/ipv4/ip_forward", "1").context("cannot set ip_forward")
}
