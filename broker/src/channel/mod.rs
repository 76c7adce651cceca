//! A channel: what is in it, who waits for it, and what it counts.
//!
//! Architecture Invariant: nothing here does IO, reads a clock or awaits. [`state`] decides, and the core acts.

mod backlog;
mod bury;
mod chunk;
pub mod counters;
pub mod lease;
pub mod message;
mod packed;
mod places;
mod plain;
mod policy;
mod receive;
mod senders;
mod settle;
pub mod state;
mod time;
pub mod waiting;

pub use counters::ChannelCounters;
pub use lease::{Claim, Ended, LeaseSealer, Refusal};
pub use message::{Death, Granted, Group, Handouts, Message, Phase, Sequence, State, Stored};
pub use policy::Policy;
pub use senders::{SenderId, WaitingSenders};
pub use settle::Released;
pub use state::ChannelState;
pub use time::Elapsed;
pub use waiting::{Arrival, Attempt, AttemptId, Dismissed, PullForm, WaiterId, WaitingReceivers};

#[cfg(test)]
mod tests;
