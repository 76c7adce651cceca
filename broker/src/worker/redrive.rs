//! A complete redrive: the dead letters of a channel in all places, and dead letters of other channels that lie in it.

use std::{collections::BTreeMap, sync::Arc};

use restante_wire::control::{DeadLettersLeft, LeftBecause, Redriven};

use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    log::Log,
    shard::{ReturnRequest, WorkFailed},
    worker::Shards,
};

/// States of dead letters in a dead-letter channel. Leased ones are counted, and stay.
const STATES: [State; 4] = [State::Ready, State::Delayed, State::Dead, State::Leased];

/// The parameters of a redrive.
#[derive(Debug, Clone)]
pub struct Redrive {
    pub entry: Arc<ChannelEntry>,
    /// The channel's dead-letter channel, if it has one.
    pub dead_letter_channel: Option<Arc<ChannelEntry>>,
    /// Whether it is a dead-letter channel of others.
    pub is_dead_letter_channel: bool,
    /// The channel that they go to; `None` for the channel where each became a dead letter.
    pub to: Option<Arc<ChannelEntry>>,
    /// Maximum of dead letters.
    pub limit: u64,
}

/// Progress so far.
#[derive(Default)]
struct Done {
    moved: u64,
    left: BTreeMap<(String, LeftBecause), u64>,
}

impl Done {
    fn leave(&mut self, entry: &ChannelEntry, because: LeftBecause, messages: u64) {
        if messages > 0 {
            *self.left.entry((entry.config.qualified_name(), because)).or_default() += messages;
        }
    }

    fn report(self) -> Redriven {
        let left_in = self.left.into_iter();
        let left_in: Vec<_> = left_in
            .map(|((channel, because), messages)| DeadLettersLeft { channel, messages, because })
            .collect();
        let left = left_in.iter().map(|left| left.messages).sum();
        Redriven { moved: self.moved, left, left_in }
    }
}

impl<L: Log> Shards<L> {
    /// Makes dead letters ready again, a few at a time so that requests run in between; on disk on return.
    pub async fn redrive(&self, redrive: Redrive) -> Result<Redriven, WorkFailed> {
        let Redrive { entry, dead_letter_channel, is_dead_letter_channel, to, limit } = redrive;
        let mut done = Done::default();
        // Dead letters of others first: one that died again in its dead-letter channel should return home, not become
        // ready there.
        if is_dead_letter_channel {
            self.return_all(&mut done, entry.clone(), None, to.clone(), limit).await?;
        }
        self.redrive_own(&mut done, &entry, to.clone(), limit).await?;
        if let Some(dead_letter_channel) = dead_letter_channel {
            let to = to.clone().or_else(|| Some(entry.clone()));
            let name = entry.config.qualified_name();
            self.return_all(&mut done, dead_letter_channel, Some(name), to, limit).await?;
        }
        // A channel that no other names any more may still hold dead letters. They are searched only if nothing else
        // was found, because that reads every message of the channel.
        if !is_dead_letter_channel && done.moved == 0 && done.left.is_empty() {
            self.return_all(&mut done, entry, None, to, limit).await?;
        }
        Ok(done.report())
    }

    /// Makes dead letters that stayed in their channel ready again, there or in `to`.
    async fn redrive_own(
        &self,
        done: &mut Done,
        entry: &Arc<ChannelEntry>,
        to: Option<Arc<ChannelEntry>>,
        limit: u64,
    ) -> Result<(), WorkFailed> {
        let shard = self.of(entry.id);
        let (mut from, mut brought, mut unreadable) = (0, None, 0);
        loop {
            let (of, to, max) = (entry.clone(), to.clone(), limit - done.moved);
            let turn = shard.run(move |shard| shard.redrive(&of, to.as_ref(), from, max, brought)).await??;
            done.moved += turn.moved;
            unreadable += turn.unreadable;
            let mut next = turn.next;
            brought = None;
            if let (Some(coming), Some(sequence)) = (turn.coming, next) {
                let (came, channel_id) = (coming.await, entry.id);
                brought = shard
                    .run(move |shard| shard.finish_read(channel_id, sequence, None, came))
                    .await??
                    .readable();
                if brought.is_none() {
                    unreadable += 1;
                    next = Some(sequence + 1);
                }
            }
            match next.filter(|_| done.moved < limit) {
                Some(next) => from = next,
                None => {
                    turn.ticket.wait().await?;
                    let because = if done.moved == limit { LeftBecause::Limit } else { LeftBecause::NoRoom };
                    done.leave(entry, LeftBecause::Unreadable, unreadable);
                    done.leave(entry, because, turn.left.saturating_sub(unreadable));
                    return Ok(());
                }
            }
        }
    }

    /// Returns dead letters in a dead-letter channel to where each came from, or to `to`.
    async fn return_all(
        &self,
        done: &mut Done,
        stored_in: Arc<ChannelEntry>,
        came_from: Option<String>,
        to: Option<Arc<ChannelEntry>>,
        limit: u64,
    ) -> Result<(), WorkFailed> {
        let shard = self.of(stored_in.id);
        let entry = stored_in.clone();
        let until = shard.run(move |shard| shard.next_sequence(&entry)).await?;
        let request = ReturnRequest { stored_in, came_from, to, until };
        for state in STATES {
            let (mut from, mut brought) = (Sequence::default(), None);
            loop {
                let (of, max) = (request.clone(), limit - done.moved);
                let turn = shard
                    .run(move |shard| shard.return_dead_letters(&of, state, from, max, brought))
                    .await??;
                done.moved += turn.moved;
                for (because, messages) in turn.left {
                    // Dead letters that stay there are counted with that channel's own.
                    if state != State::Dead || request.came_from.is_some() {
                        done.leave(&request.stored_in, because, messages);
                    }
                }
                let mut next = turn.next;
                brought = None;
                if let (Some(coming), Some(sequence)) = (turn.coming, next) {
                    let (came, channel_id) = (coming.await, request.stored_in.id);
                    brought = shard
                        .run(move |shard| shard.finish_read(channel_id, sequence, None, came))
                        .await??
                        .readable();
                    if brought.is_none() {
                        done.leave(&request.stored_in, LeftBecause::Unreadable, 1);
                        next = Some(sequence + 1);
                    }
                }
                match next {
                    Some(next) => from = next,
                    None => {
                        turn.ticket.wait().await?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
