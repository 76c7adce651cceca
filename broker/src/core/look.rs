//! Looking at messages without taking them.

use std::{borrow::Cow, sync::Arc};

use super::{Core, Reading, StoreFailed};
use crate::{
    address_store::ChannelEntry,
    channel::{Message, Sequence, State},
    log::Log,
    shared::{Share, Taken},
};

/// A message that was looked at.
#[derive(Debug)]
pub struct Seen {
    /// Its place in the channel.
    pub sequence: Sequence,
    /// What its channel knows of it.
    pub message: Message,
    /// What was sent.
    pub content: Reading,
    /// The memory that it takes.
    pub memory: Taken,
}

/// What there is to look at.
#[derive(Debug)]
pub enum Look {
    /// A message.
    Seen(Box<Seen>),
    /// A message that is larger than it may be.
    TooLarge(Sequence),
    /// A message for which there is no memory now.
    NoMemory,
    /// No more messages.
    End,
}

impl<L: Log> Core<L> {
    /// The first message of a state from the sequence `first` on, of at most `bytes`.
    pub fn look(
        &mut self,
        entry: &Arc<ChannelEntry>,
        state: State,
        first: Sequence,
        bytes: u64,
        answers: &Share,
    ) -> Result<Look, StoreFailed> {
        self.alive()?;
        let Some(channel) = self.channel(entry) else { return Ok(Look::End) };
        let Some(sequence) = channel.state.in_state(state, first, 1).pop() else { return Ok(Look::End) };
        let Some(message) = channel.state.message(sequence).map(Cow::into_owned) else {
            return Ok(Look::End);
        };
        let size = u64::from(message.stored.bytes);
        if size > bytes {
            return Ok(Look::TooLarge(sequence));
        }
        let Some(memory) = answers.take_uncounted(size) else { return Ok(Look::NoMemory) };
        let content = self.content(entry.number, sequence, None, message.stored.position)?;
        Ok(Look::Seen(Box::new(Seen { sequence, message, content, memory })))
    }
}
