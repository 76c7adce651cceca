//! The Restante broker: accepts messages by POST, stores them in channels on disk, and delivers them by GET.
//!
//! Architecture Invariant: the broker never talks to Kubernetes. The control API or manifest files program its
//! channels; it starts from its own disk and serves without either.

pub mod address_store;
pub mod admin;
pub mod api;
pub mod backup;
pub mod channel;
pub mod clock;
pub mod config;
pub mod control;
pub mod data_folder;
pub mod drain;
pub mod files;
mod first_failure;
pub mod fuzz;
pub mod http;
pub mod log;
pub mod logging;
pub mod maintenance;
pub mod manifests;
pub mod memory;
pub mod message;
pub mod metrics;

mod run;
pub mod service;
pub mod shard;
pub mod shared;
mod signals;
pub mod weak_cache;
pub mod worker;

pub use config::{Arguments, Config};
pub use run::{RunError, run};
