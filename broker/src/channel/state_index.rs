//! The state of each message that is not plain: in line, waiting for its group, leased, delayed or dead. Derived from
//! the messages, so that no operation searches them.

use std::collections::{BTreeSet, HashMap};

use super::message::{GroupName, Message, Phase, Sequence, State};
use crate::clock::Millis;

/// The index of a channel's messages by state.
#[derive(Debug, Default)]
pub(super) struct StateIndex {
    /// Messages that can be leased now.
    line: BTreeSet<Sequence>,
    /// Ready messages that wait for their turn in their group.
    behind: BTreeSet<Sequence>,
    leased: BTreeSet<Sequence>,
    delayed: BTreeSet<Sequence>,
    dead: BTreeSet<Sequence>,
    /// The time of each message's next event.
    events: BTreeSet<(Millis, Sequence)>,
    groups: HashMap<GroupName, Members>,
    /// In the strict order, the whole channel is one group, and group names are ignored.
    strict: bool,
}

/// The messages of a group, without dead letters.
#[derive(Debug, Default)]
struct Members {
    all: BTreeSet<Sequence>,
    leased: usize,
    /// The message whose turn it is, if it is ready.
    turn: Option<Sequence>,
}

impl StateIndex {
    /// Whether the whole channel is one group.
    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// An empty index for an order.
    pub(super) fn empty(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// Adds a message to the index.
    pub(super) fn list(&mut self, sequence: Sequence, message: &Message) {
        self.events.extend(message.next_event().map(|at| (at, sequence)));
        let group = self.group(message);
        let ready = if group.is_some() { &mut self.behind } else { &mut self.line };
        match message.phase {
            Phase::Ready(_) => ready,
            Phase::Leased(_) => &mut self.leased,
            Phase::Delayed { .. } => &mut self.delayed,
            Phase::Dead(_) => &mut self.dead,
        }
        .insert(sequence);
        if let Some(group) = group {
            let members = self.groups.entry(group.clone()).or_default();
            members.all.insert(sequence);
            members.leased += usize::from(matches!(message.phase, Phase::Leased(_)));
            self.take_turns(&group);
        }
    }

    /// Removes a message from the index. It must be unchanged since [`Self::list`].
    pub(super) fn unlist(&mut self, sequence: Sequence, message: &Message) {
        if let Some(at) = message.next_event() {
            self.events.remove(&(at, sequence));
        }
        match message.phase {
            Phase::Ready(_) => {
                if !self.line.remove(&sequence) {
                    self.behind.remove(&sequence);
                }
            }
            Phase::Leased(_) => drop(self.leased.remove(&sequence)),
            Phase::Delayed { .. } => drop(self.delayed.remove(&sequence)),
            Phase::Dead(_) => drop(self.dead.remove(&sequence)),
        }
        if let Some(group) = self.group(message)
            && let Some(members) = self.groups.get_mut(&group)
        {
            members.all.remove(&sequence);
            members.leased -= usize::from(matches!(message.phase, Phase::Leased(_)));
            members.turn = members.turn.filter(|turn| *turn != sequence);
            if members.all.is_empty() {
                self.groups.remove(&group);
            } else {
                self.take_turns(&group);
            }
        }
    }

    /// The message group that a message takes turns in; none for a dead letter.
    fn group(&self, message: &Message) -> Option<GroupName> {
        match message.phase {
            Phase::Dead(_) => None,
            _ if self.strict => None,
            _ => message.group.clone(),
        }
    }

    /// Moves only the first message of a group into the line. While the first is leased, delayed or backing off, the
    /// group waits.
    fn take_turns(&mut self, group: &GroupName) {
        let Some(members) = self.groups.get_mut(group) else { return };
        let first = members.all.first().copied().filter(|_| members.leased == 0);
        let ready = |sequence: &Sequence| self.line.contains(sequence) || self.behind.contains(sequence);
        let turn = first.filter(ready);
        if turn == members.turn {
            return;
        }
        // A message that returned may come before the one that had the turn.
        if let Some(before) = members.turn
            && self.line.remove(&before)
        {
            self.behind.insert(before);
        }
        members.turn = turn;
        if let Some(now) = turn {
            self.behind.remove(&now);
            self.line.insert(now);
        }
    }

    pub(super) fn first_in_line(&self) -> Option<Sequence> {
        self.line.first().copied()
    }

    pub(super) fn in_line(&self) -> u64 {
        self.line.len() as u64
    }

    /// The ready message that was stored first, in line or not.
    pub(super) fn oldest_ready(&self) -> Option<Sequence> {
        self.line.first().into_iter().chain(self.behind.first()).min().copied()
    }

    /// The message that was stored first and is not a dead letter.
    pub(super) fn oldest_alive(&self) -> Option<Sequence> {
        let firsts =
            [&self.line, &self.behind, &self.leased, &self.delayed].into_iter().filter_map(BTreeSet::first);
        firsts.min().copied()
    }

    /// The next event, and its message.
    pub(super) fn next_event(&self) -> Option<(Millis, Sequence)> {
        self.events.first().copied()
    }

    pub(super) fn count(&self, state: State) -> u64 {
        let count = match state {
            State::Ready => self.line.len() + self.behind.len(),
            State::Leased => self.leased.len(),
            State::Delayed => self.delayed.len(),
            State::Dead => self.dead.len(),
        };
        count as u64
    }

    /// Up to `max` messages of a state from `first` on, in order.
    pub(super) fn from(&self, state: State, first: Sequence, max: usize) -> Vec<Sequence> {
        let range =
            |set: &BTreeSet<Sequence>| -> Vec<Sequence> { set.range(first..).take(max).copied().collect() };
        match state {
            State::Leased => range(&self.leased),
            State::Delayed => range(&self.delayed),
            State::Dead => range(&self.dead),
            State::Ready => {
                let mut both = [range(&self.line), range(&self.behind)].concat();
                both.sort_unstable();
                both.truncate(max);
                both
            }
        }
    }
}
