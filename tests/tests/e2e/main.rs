//! Tests that need a kernel, a node or several programs. They are one binary, so that they share clusters.

mod chart;
mod cluster;
mod firewall;
mod operator;
mod shared;
mod story;
