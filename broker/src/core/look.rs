//! Looking at messages without taking them.

use std::{borrow::Cow, sync::Arc};

use super::{Core, Reading, StoreFailed};
use crate::{
    address_store::ChannelEntry,
    channel::{Message, Sequence, State},
    log::Log,
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
}

impl<L: Log> Core<L> {
    /// Up to `max` messages of a state from the sequence `first` on, in order, of at most `bytes` in all but at least one.
    /// True when there may be more.
    pub fn peek(
        &mut self,
        entry: &Arc<ChannelEntry>,
        state: State,
        first: Sequence,
        max: usize,
        mut bytes: u64,
    ) -> Result<(Vec<Seen>, bool), StoreFailed> {
        self.alive()?;
        let Some(channel) = self.channel(entry) else { return Ok((Vec::new(), false)) };
        let sequences = channel.state.in_state(state, first, max);
        let full = sequences.len() == max;
        let mut seen = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let message =
                self.channels.get(&entry.number).and_then(|channel| channel.state.message(sequence));
            let Some(message) = message.map(Cow::into_owned) else { continue };
            let size = u64::from(message.stored.bytes);
            if size > bytes && !seen.is_empty() {
                return Ok((seen, true));
            }
            bytes = bytes.saturating_sub(size);
            let content = self.content(entry.number, sequence, message.stored.position)?;
            seen.push(Seen { sequence, message, content });
        }
        Ok((seen, full))
    }
}
