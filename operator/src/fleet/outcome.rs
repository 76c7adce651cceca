//! The outcome of programming a channel.

use restante_crds::{conflicts::Conflict, dead_letters::DeadLetterFault};
use restante_wire::ChannelStats;
use uuid::Uuid;

/// The outcome of programming one generation of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub generation: i64,
    pub state: State,
    /// The fault of its dead-letter channel. It does not prevent programming.
    pub dead_letter: Option<DeadLetterFault>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Another channel won its name or one of its addresses.
    Lost(Conflict),
    /// Every Running pod has it.
    Programmed,
    /// Not programmed yet; the operator retries.
    Pending(Pending),
    /// The broker refuses it until it changes.
    Refused(String),
}

/// Why a channel is not programmed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// No pod of the broker is running.
    NoPod,
    /// A running pod cannot be reached, or its request failed.
    Unreachable(String),
}

/// The result of a deletion at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// Deleted, together with this number of messages.
    Deleted(u64),
    /// The channel still has messages, with its counts if the broker returned them.
    NotEmpty(Option<ChannelStats>),
    /// No pod could be reached, and why.
    Unreachable(String),
    /// A pod has this store instead of the expected one.
    AnotherStore(Uuid),
}
