//! The log of a shard: appending decisions, committing them, tickets for the answers that wait, and reads.

pub(in crate::shard) mod channel_names;
pub(in crate::shard) mod clock_mark;
mod commit;
pub(in crate::shard) mod commit_batch;
mod cut;
pub(in crate::shard) mod in_flight;
pub(in crate::shard) mod read;
pub(in crate::shard) mod reserve;
mod samples;
pub(in crate::shard) mod unreadable;

pub use commit_batch::{StoreFailed, Ticket};
pub use read::Reading;
pub use samples::Samples;
pub use unreadable::{ReadBack, UnreadableMessage};
