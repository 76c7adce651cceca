//! Dead letters in a dead-letter channel: headers name the channel that each came from, so that it can return.

use std::{collections::BTreeMap, sync::Arc};

use restante_wire::control::LeftBecause;

use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    log::{Coming, Log, Sync},
    message::Origin,
    shard::{EVENTS_PER_TURN, Reading, Shard, StoreFailed, StoredMessage, Ticket, dead_letter::MoveCause},
};

/// Which dead letters return, and where to.
#[derive(Debug, Clone)]
pub struct ReturnRequest {
    /// The dead-letter channel.
    pub stored_in: Arc<ChannelEntry>,
    /// Only dead letters of this channel, `namespace/name`; `None` for all that came from another channel.
    pub came_from: Option<String>,
    /// The channel that they go to; `None` for the one that each came from.
    pub to: Option<Arc<ChannelEntry>>,
    /// Later messages stay: a dead letter may have returned and died again.
    pub until: Sequence,
}

/// Outcome of one turn.
#[derive(Debug)]
pub struct ReturnTurn {
    /// Dead letters that left.
    pub moved: u64,
    /// Dead letters that stay, by reason.
    pub left: BTreeMap<LeftBecause, u64>,
    /// Where to continue; `None` at the end.
    pub next: Option<Sequence>,
    /// The message `next`, which must be read first.
    pub coming: Option<Coming>,
    pub ticket: Ticket,
}

impl<L: Log> Shard<L> {
    /// The sequence of a channel's next message.
    pub fn next_sequence(&mut self, entry: &Arc<ChannelEntry>) -> Sequence {
        self.channel(entry).map_or(0, |channel| channel.state.next_sequence())
    }

    /// Returns dead letters in a state from the sequence `from` on, at most `max` and a few at a time. The caller
    /// continues at `next`, with the message that `coming` reads.
    pub fn return_dead_letters(
        &mut self,
        request: &ReturnRequest,
        state: State,
        from: Sequence,
        max: u64,
        mut brought: Option<StoredMessage>,
    ) -> Result<ReturnTurn, StoreFailed> {
        self.alive()?;
        let channel_id = request.stored_in.id;
        let looked_at = match self.channel(&request.stored_in) {
            Some(channel) => channel.state.in_state(state, from, EVENTS_PER_TURN),
            None => Vec::new(),
        };
        let last = looked_at.last().filter(|_| looked_at.len() == EVENTS_PER_TURN);
        let mut next = last.map(|last| last + 1).filter(|next| *next < request.until);
        let (mut moved, mut left, mut coming) = (0, BTreeMap::new(), None);
        for sequence in looked_at.into_iter().filter(|sequence| *sequence < request.until) {
            let recorded = match self.brought_or_content_of(&mut brought, from, channel_id, sequence)? {
                Some(Reading::Here(recorded)) => recorded,
                Some(Reading::Coming(its)) => {
                    (next, coming) = (Some(sequence), Some(its));
                    break;
                }
                // From now on it is a dead letter of this channel, and reported there, unless a receiver has it.
                Some(Reading::Unreadable(_)) => {
                    *left.entry(LeftBecause::Unreadable).or_default() += 1;
                    continue;
                }
                None => continue,
            };
            let Some(origin) = Origin::of(&recorded.content.headers) else { continue };
            if request.came_from.as_ref().is_some_and(|channel| *channel != origin.channel) {
                continue;
            }
            let stays = if state == State::Leased {
                Some(LeftBecause::Leased)
            } else if moved == max {
                Some(LeftBecause::Limit)
            } else {
                self.return_dead_letter(request, sequence, &origin, recorded)?
            };
            match stays {
                Some(because) => *left.entry(because).or_default() += 1,
                None => moved += 1,
            }
        }
        self.metrics.redriven.inc_by(moved);
        let ticket = if moved > 0 { self.ledger.appended(Sync::Now) } else { self.ticket_so_far(Sync::Now) };
        Ok(ReturnTurn { moved, left, next, coming, ticket })
    }

    /// Returns one dead letter by one record, or gives the reason why it stays.
    fn return_dead_letter(
        &mut self,
        request: &ReturnRequest,
        sequence: Sequence,
        origin: &Origin,
        recorded: StoredMessage,
    ) -> Result<Option<LeftBecause>, StoreFailed> {
        let channel_id = request.stored_in.id;
        let home = || {
            let (namespace, name) = origin.channel.split_once('/')?;
            self.store.by_name(namespace, name)
        };
        let Some(to) = request.to.clone().or_else(home).filter(|to| to.id != channel_id) else {
            return Ok(Some(LeftBecause::OriginUnknown));
        };
        let has_left = self.move_message(channel_id, sequence, &to, recorded, MoveCause::Redrive)?;
        Ok((!has_left).then_some(LeftBecause::NoRoom))
    }
}
