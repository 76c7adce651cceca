//! A channel: what is in it, who waits for it, and what it counts.
//!
//! Architecture Invariant: nothing here does IO, reads a clock or awaits. [`state`] decides, and the core acts.

pub mod counters;
pub mod lease;
pub mod state;
pub mod waiting;

pub use counters::ChannelCounters;
pub use lease::{Claim, LeaseSealer, Refusal};
pub use state::{ChannelState, Granted, Stored};
pub use waiting::{WaiterId, WaitingReceivers};

#[cfg(test)]
mod state_tests;
