//! Everything that takes a kernel, a node or several programs. One binary, so that its tests share one cluster.

mod chart;
mod cluster;
mod firewall;
mod operator;
mod shared;
mod story;
