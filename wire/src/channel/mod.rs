//! The configuration of a channel, which the broker receives, and its counts, which the broker reports.

mod bounds;
mod check;
mod config;
mod delivery;
mod keep_headers;
mod limits;
mod policy;
mod stats;

pub use bounds::*;
pub use check::ConfigError;
#[cfg(test)]
pub(crate) use check::example;
pub use config::{Access, ChannelConfig, DeadLetter, Destinations};
pub use delivery::*;
pub use keep_headers::{KeepHeaders, NEVER_KEPT, NEVER_KEPT_PREFIXES, may_be_kept};
pub use limits::*;
pub use policy::{Durability, Expired, WhenFull};
pub use stats::ChannelStats;
