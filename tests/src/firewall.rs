//! The firewall of a client system, with nftables. It drops everything except connections that the client opens to the
//! broker's one address and port.

use std::net::SocketAddrV4;

use anyhow::Result;

use crate::{command::run_with_input, netns};

/// Closes the firewall, except for outgoing TCP to `broker` and for loopback.
pub fn close(namespace: &str, broker: SocketAddrV4) -> Result<()> {
    run_with_input(netns::command_in(namespace, "nft").args(["-f", "-"]), &rules(broker)).map(drop)
}

/// Opens the firewall again.
pub fn open(namespace: &str) -> Result<()> {
    run_with_input(netns::command_in(namespace, "nft").args(["-f", "-"]), "delete table inet firewall\n")
        .map(drop)
}

fn rules(broker: SocketAddrV4) -> String {
    let (address, port) = (broker.ip(), broker.port());
    format!(
        "table inet firewall {{
  chain input {{
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state established accept
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
  }}
  chain output {{
    type filter hook output priority filter; policy drop;
    oif lo accept
    ip daddr {address} tcp dport {port} accept
  }}
}}
"
    )
}
