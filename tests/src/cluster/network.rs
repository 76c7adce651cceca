//! The cluster's network: one namespace, one bridge, on it the node and its pods.

use std::{fs, net::Ipv4Addr};

use anyhow::{Context, Result};

use crate::netns::NetworkNamespace;

/// The node's address, and the gateway of its pods.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);
/// Where pods have their addresses.
pub const PODS: &str = "10.88.0.0/24";
/// Where Services have theirs.
pub const SERVICES: &str = "10.0.0.0/24";
/// The first of them: the API server's own.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The API server's port on the node.
pub const API_PORT: u16 = 6443;
/// The bridge's interface.
pub const BRIDGE: &str = "cluster0";
/// What the node is called.
pub const NODE_NAME: &str = "node";

/// Makes the namespace and what is in it.
pub fn create(what: &str) -> Result<NetworkNamespace> {
    let namespace = NetworkNamespace::create(what)?;
    namespace.ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    namespace.ip(&["address", "add", &format!("{NODE}/24"), "dev", BRIDGE])?;
    namespace.ip(&["link", "set", BRIDGE, "up"])?;
    // It leads nowhere; the API server refuses to start without one.
    namespace.ip(&["route", "add", "default", "dev", BRIDGE])?;
    Ok(namespace)
}

/// Lets packets through from pod to pod and from clients to pods. Called inside the namespace, whose setting it is.
pub fn forward() -> Result<()> {
    // By way of the thread: /proc/sys shows the namespace of whoever opens it.
    fs::write("/proc/thread-self/root/proc/sys/net/ipv4/ip_forward", "1").context("ip_forward cannot be set")
}
