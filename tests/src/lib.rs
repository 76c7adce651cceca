//! The harness of the end-to-end tests: a real Kubernetes cluster in a separate network namespace, client systems
//! behind real firewalls, and the tools that a user runs.
//!
//! Architecture Invariant: there are no mocks of Restante or Kubernetes. The harness does not touch the machine's own
//! network, and leaves nothing running after its process.
//!
//! Everything that uses a namespace needs root; see [`requirements`].

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
