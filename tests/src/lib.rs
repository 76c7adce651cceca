//! The harness of the end-to-end tests: a real Kubernetes in a network namespace of its own, client systems behind real
//! firewalls, and the tools that a person would use.
//!
//! Architecture Invariant: nothing here stands in for a part of Restante or of Kubernetes; there are no mocks. Nothing
//! touches the machine's own network, and nothing outlives the process that asked for it.
//!
//! Needs root for anything with a namespace: see [`requirements`].

pub mod certificates;
pub mod cgroups;
pub mod client_system;
pub mod cluster;
pub mod cluster_process;
pub mod command;
pub mod config;
pub mod firewall;
pub mod helm;
pub mod images;
pub mod in_namespace;
pub mod isolation;
pub mod kubectl;
pub mod ledger;
pub mod leftovers;
pub mod netns;
pub mod process;
pub mod programs;
pub mod requirements;
pub mod run_name;
pub mod tools;
pub mod usage;
pub mod wait;
