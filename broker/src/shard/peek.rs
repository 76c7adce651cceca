//! Reading messages without leasing them.

use std::{borrow::Cow, sync::Arc};

use crate::{
    address_store::ChannelEntry,
    channel::{Message, Sequence, State},
    log::Log,
    shard::{Reading, Shard, StoreFailed},
    shared::{Allocation, Share},
};

/// A message that was peeked at.
#[derive(Debug)]
pub struct PeekedMessage {
    pub sequence: Sequence,
    pub message: Message,
    pub content: Reading,
    /// The memory that it takes.
    pub memory: Allocation,
}

/// Outcome of a peek.
#[derive(Debug)]
pub enum PeekOutcome {
    Message(Box<PeekedMessage>),
    /// A message that exceeds the given size.
    TooLarge(Sequence),
    /// There is no memory for the message now.
    NoMemory,
    /// No more messages.
    End,
}

impl<L: Log> Shard<L> {
    /// The first message of a state from the sequence `first` on, of at most `bytes`.
    pub fn peek(
        &mut self,
        entry: &Arc<ChannelEntry>,
        state: State,
        first: Sequence,
        bytes: u64,
        answers: &Share,
    ) -> Result<PeekOutcome, StoreFailed> {
        self.alive()?;
        let Some(channel) = self.channel(entry) else { return Ok(PeekOutcome::End) };
        let Some(sequence) = channel.state.in_state(state, first, 1).pop() else {
            return Ok(PeekOutcome::End);
        };
        let Some(message) = channel.state.message(sequence).map(Cow::into_owned) else {
            return Ok(PeekOutcome::End);
        };
        let size = u64::from(message.stored.bytes);
        if size > bytes {
            return Ok(PeekOutcome::TooLarge(sequence));
        }
        let Some(memory) = answers.take_uncounted(size) else { return Ok(PeekOutcome::NoMemory) };
        let content = self.content(entry.id, sequence, None, message.stored.position)?;
        Ok(PeekOutcome::Message(Box::new(PeekedMessage { sequence, message, content, memory })))
    }
}
