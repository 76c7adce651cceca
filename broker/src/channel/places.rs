//! Where each message of a channel stands that is not plain: in line, behind its group, leased, delayed or dead. Derived
//! from the messages, so that none is ever searched for.

use std::collections::{BTreeSet, HashMap};

use super::message::{Group, Message, Phase, Sequence, State};
use crate::clock::Millis;

/// The index of a channel's messages.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those that may be leased now.
    line: BTreeSet<Sequence>,
    /// Those that are ready while it is another's turn in their group.
    behind: BTreeSet<Sequence>,
    leased: BTreeSet<Sequence>,
    delayed: BTreeSet<Sequence>,
    dead: BTreeSet<Sequence>,
    /// When time next changes something about each.
    events: BTreeSet<(Millis, Sequence)>,
    groups: HashMap<Group, Members>,
    /// Groups are not looked at: the whole channel is one.
    strict: bool,
}

/// The messages of a group that are no dead letters.
#[derive(Debug, Default)]
struct Members {
    all: BTreeSet<Sequence>,
    leased: usize,
    /// Whose turn it is, if that message is ready.
    turn: Option<Sequence>,
}

impl Places {
    /// Whether the whole channel is one group.
    pub(super) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Another order: nothing may be listed.
    pub(super) fn empty(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// Puts a message where it belongs.
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

    /// Takes a message away from where it is; it is as it was when it was listed.
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

    /// The group that a message takes turns in; a dead letter takes none.
    fn group(&self, message: &Message) -> Option<Group> {
        match message.phase {
            Phase::Dead(_) => None,
            _ if self.strict => None,
            _ => message.group.clone(),
        }
    }

    /// Lets the first message of a group into the line, and nobody else: while the first is leased, delayed or backing
    /// off, the group waits.
    fn take_turns(&mut self, group: &Group) {
        let Some(members) = self.groups.get_mut(group) else { return };
        let first = members.all.first().copied().filter(|_| members.leased == 0);
        let ready = |sequence: &Sequence| self.line.contains(sequence) || self.behind.contains(sequence);
        let turn = first.filter(ready);
        if turn == members.turn {
            return;
        }
        // Whoever had the turn may have been overtaken by one that came back.
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

    /// The first message in line.
    pub(super) fn first_in_line(&self) -> Option<Sequence> {
        self.line.first().copied()
    }

    /// How many are in line.
    pub(super) fn in_line(&self) -> u64 {
        self.line.len() as u64
    }

    /// The ready message that was stored first, in line or not.
    pub(super) fn oldest_ready(&self) -> Option<Sequence> {
        self.line.first().into_iter().chain(self.behind.first()).min().copied()
    }

    /// The message that was stored first and is no dead letter.
    pub(super) fn oldest_alive(&self) -> Option<Sequence> {
        let firsts =
            [&self.line, &self.behind, &self.leased, &self.delayed].into_iter().filter_map(BTreeSet::first);
        firsts.min().copied()
    }

    /// The message about which time next changes something, and when.
    pub(super) fn next_event(&self) -> Option<(Millis, Sequence)> {
        self.events.first().copied()
    }

    /// How many are in a state.
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
