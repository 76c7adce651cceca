//! A channel: its messages, its waiting receivers and senders, and its counters.
//!
//! Architecture Invariant: nothing here does IO, reads a clock or awaits. [`state`] decides, and the shard acts.

mod backlog;
mod chunk;
pub mod counters;
mod dead_letter;
pub mod lease;
pub mod message;
mod packed;
mod plain;
mod policy;
mod receive;
mod senders;
mod settle;
pub mod state;
mod state_index;
mod time;
pub mod waiting;

pub use counters::ChannelCounters;
pub use lease::{Claim, Ended, LeaseSealer, Refusal};
pub use message::{
    DeadLetter, Granted, GroupName, LeaseCounts, Message, MessageState, Phase, Sequence, State, Stored,
};
pub use policy::Policy;
pub use senders::{SenderId, WaitingSenders};
pub use settle::Released;
pub use state::ChannelState;
pub use time::Elapsed;
pub use waiting::{Arrival, Attempt, AttemptId, Dismissed, PullForm, WaiterId, WaitingReceivers};

#[cfg(test)]
mod tests;
