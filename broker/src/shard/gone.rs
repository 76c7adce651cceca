//! Why a shard did not do what a caller asked for.

use super::StoreFailed;

/// The shard's thread has ended: the broker is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker is shutting down")]
pub struct ShardGone;

/// Why a long operation on a shard was not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkFailed {
    #[error(transparent)]
    Gone(#[from] ShardGone),
    #[error(transparent)]
    Store(#[from] StoreFailed),
    /// The log has no room for the records of the operation.
    #[error(
        "the broker's disk is full: there is no room for this operation; receive and settle messages, or enlarge the volume"
    )]
    NoRoom,
}
