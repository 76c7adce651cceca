//! The channels of a shard: created at their first use and evicted when idle; their limits, rates, timers and counters.

pub(in crate::shard) mod admission;
mod arrival;
pub(in crate::shard) mod attempts;
pub(in crate::shard) mod channel;
pub(in crate::shard) mod channel_shares;
mod cleanup;
pub(in crate::shard) mod idle;
pub(in crate::shard) mod live;
pub(in crate::shard) mod size;
pub(in crate::shard) mod timers;

pub use admission::{Fullness, SenderTurn};
pub use channel::CounterRegistry;
pub use channel_shares::Holder;
pub(in crate::shard) use idle::IdleChannels;
pub use size::SizeLimit;
pub(in crate::shard) use timers::ChannelTimers;
