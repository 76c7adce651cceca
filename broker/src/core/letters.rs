//! Dead letters that lie in a channel of their own: each says in its headers from which channel it came, and can go back.

use std::{collections::BTreeMap, sync::Arc};

use restante_wire::control::LeftBecause;

use super::{Core, EVENTS_PER_TURN, Reading, Recorded, StoreFailed, Ticket, bury::Moved};
use crate::{
    address_store::ChannelEntry,
    channel::{Sequence, State},
    log::{Coming, Log, Sync},
    message::Origin,
};

/// Which letters go back, and where to.
#[derive(Debug, Clone)]
pub struct Return {
    /// The channel that they lie in.
    pub lies_in: Arc<ChannelEntry>,
    /// Only those that came from this channel, `namespace/name`; absent, all that came from another.
    pub came_from: Option<String>,
    /// Where they go; absent, to where each came from.
    pub to: Option<Arc<ChannelEntry>>,
    /// What came later stays: it may be a letter that went back and died again.
    pub until: Sequence,
}

/// What one turn of it did.
#[derive(Debug)]
pub struct Returned {
    /// Letters that are on their way.
    pub moved: u64,
    /// Letters that stay, and why.
    pub left: BTreeMap<LeftBecause, u64>,
    /// Where to go on; absent when there is nothing more to do.
    pub next: Option<Sequence>,
    /// The content of the message `next`, which is to come first.
    pub coming: Option<Coming>,
    /// When it is on disk.
    pub ticket: Ticket,
}

impl<L: Log> Core<L> {
    /// The place that a channel's next message gets.
    pub fn next_sequence(&mut self, entry: &Arc<ChannelEntry>) -> Sequence {
        self.channel(entry).map_or(0, |channel| channel.state.next_sequence())
    }

    /// Letters of a state from the sequence `from` on, at most `max`, leave for where they came from. A few at a time: the caller
    /// goes on at `next`, and brings the content that is said to be coming.
    pub fn return_letters(
        &mut self,
        asked: &Return,
        state: State,
        from: Sequence,
        max: u64,
        mut brought: Option<Recorded>,
    ) -> Result<Returned, StoreFailed> {
        self.alive()?;
        let number = asked.lies_in.number;
        let looked_at = match self.channel(&asked.lies_in) {
            Some(channel) => channel.state.in_state(state, from, EVENTS_PER_TURN),
            None => Vec::new(),
        };
        let last = looked_at.last().filter(|_| looked_at.len() == EVENTS_PER_TURN);
        let mut next = last.map(|last| last + 1).filter(|next| *next < asked.until);
        let (mut moved, mut left, mut coming) = (0, BTreeMap::new(), None);
        for sequence in looked_at.into_iter().filter(|sequence| *sequence < asked.until) {
            let recorded = match self.brought_or_content_of(&mut brought, from, number, sequence)? {
                Some(Reading::Here(recorded)) => recorded,
                Some(Reading::Coming(its)) => {
                    (next, coming) = (Some(sequence), Some(its));
                    break;
                }
                // It is a dead letter of this channel from now on, and told as such, unless a receiver has it.
                Some(Reading::Unreadable(_)) => {
                    *left.entry(LeftBecause::Unreadable).or_default() += 1;
                    continue;
                }
                None => continue,
            };
            let Some(origin) = Origin::of(&recorded.content.headers) else { continue };
            if asked.came_from.as_ref().is_some_and(|channel| *channel != origin.channel) {
                continue;
            }
            let stays = if state == State::Leased {
                Some(LeftBecause::Leased)
            } else if moved == max {
                Some(LeftBecause::Limit)
            } else {
                self.return_letter(asked, sequence, &origin, recorded)?
            };
            match stays {
                Some(because) => *left.entry(because).or_default() += 1,
                None => moved += 1,
            }
        }
        self.metrics.redriven.inc_by(moved);
        let ticket = if moved > 0 { self.appended(Sync::Now) } else { self.everything_so_far(Sync::Now) };
        Ok(Returned { moved, left, next, coming, ticket })
    }

    /// One letter leaves, by one record; or it stays, and why.
    fn return_letter(
        &mut self,
        asked: &Return,
        sequence: Sequence,
        origin: &Origin,
        recorded: Recorded,
    ) -> Result<Option<LeftBecause>, StoreFailed> {
        let number = asked.lies_in.number;
        let home = || {
            let (namespace, name) = origin.channel.split_once('/')?;
            self.store.by_name(namespace, name)
        };
        let Some(to) = asked.to.clone().or_else(home).filter(|to| to.number != number) else {
            return Ok(Some(LeftBecause::OriginUnknown));
        };
        let has_left = self.move_message(number, sequence, &to, recorded, Moved::Redriven)?;
        Ok((!has_left).then_some(LeftBecause::NoRoom))
    }
}
