//! What became of a channel at its broker.

use restante_crds::{conflicts::Conflict, dead_letters::DeadLetterFault};
use restante_wire::ChannelStats;
use uuid::Uuid;

/// What became of one generation of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The generation that this is about.
    pub generation: i64,
    /// What became of it.
    pub state: State,
    /// Why its dead letters do not go where its spec says. It is at its broker all the same.
    pub dead_letter: Option<DeadLetterFault>,
}

/// What became of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Another channel has what it claims.
    Lost(Conflict),
    /// Every Running pod has it.
    Programmed,
    /// Not yet, and it is tried again.
    Pending(Pending),
    /// The broker will not take it until something changes.
    Refused(String),
}

/// Why a channel is not at its broker yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// No pod of the broker runs.
    NoPod,
    /// A pod runs and does not take it.
    Unreachable(String),
}

/// What a deletion at the broker came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// The broker let it go, with so many messages.
    Deleted(u64),
    /// It holds messages: these, if the broker could say.
    NotEmpty(Option<ChannelStats>),
    /// No pod could be asked, and why.
    Unreachable(String),
    /// A pod shows this store, which is not the one that was to be asked.
    AnotherStore(Uuid),
}
