//! At start: what the log itself tells of its channels.

use std::{collections::HashSet, fmt};

use uuid::Uuid;

use super::{
    Replay,
    placement::is_outbox,
    whose::{Apart, Name, Said},
};
use crate::log::Record;

/// The UIDs of the numbers that the address store knows.
pub(crate) struct Known(Box<dyn Fn(u32) -> Option<Uuid> + Send>);

impl Known {
    /// What a function says.
    pub(crate) fn by(uid: impl Fn(u32) -> Option<Uuid> + Send + 'static) -> Self {
        Self(Box::new(uid))
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Known")
    }
}

/// What one part of the log tells of whose it is.
#[derive(Debug, Default)]
pub(super) struct PartTold {
    pub(super) part: u64,
    /// Channels that it says who they are.
    pub(super) named: HashSet<u32, foldhash::fast::RandomState>,
    /// Channels that something is stored of there.
    stored: HashSet<u32, foldhash::fast::RandomState>,
}

impl PartTold {
    /// One more record; if it lies in another part than the one before, of that.
    pub(super) fn record(&mut self, part: u64, record: &Record<'_>) {
        if self.part != part {
            self.part = part;
            self.named.clear();
            self.stored.clear();
        }
        match record {
            Record::Message { targets, .. } => {
                self.stored.extend(targets.iter().map(|target| target.channel));
            }
            Record::ChannelKey { channel, .. } => {
                self.stored.insert(*channel);
            }
            Record::Channel { channel, .. } => {
                self.named.insert(*channel);
            }
            _ => {}
        }
    }

    /// Channels that something is stored of and that nothing says who they are: what was the end of another part when the log
    /// was opened was copied here.
    pub(super) fn unnamed(&self) -> Vec<u32> {
        self.stored.difference(&self.named).copied().collect()
    }
}

impl Replay {
    /// Takes note that the log says something of a number.
    fn mentioned(&mut self, channel: u32) {
        if !is_outbox(channel) {
            self.said.next_number = self.said.next_number.max(channel.saturating_add(1));
        }
    }

    /// The log says who a number is.
    pub(super) fn named(&mut self, number: u32, uid: Uuid, namespace: &str, name: &str) {
        self.mentioned(number);
        let said = || Name { uid, namespace: namespace.into(), name: name.into() };
        match (self.known.0)(number) {
            Some(known) if known == uid => {}
            Some(other) => {
                let apart = Apart { number, in_log: said().to_string(), other };
                self.said.apart.insert(number, apart);
                self.said.name(number, said());
            }
            None if self.said.names.get(&number).is_some_and(|name| name.uid == uid) => {}
            None => self.said.name(number, said()),
        }
    }

    /// A channel was deleted: whatever the log has of it is dead.
    pub(super) fn closed(&mut self, number: u32, uid: Uuid) {
        self.mentioned(number);
        if let Some(other) = (self.known.0)(number).filter(|other| *other != uid) {
            let in_log = format!("{uid}, which was deleted,");
            self.said.apart.insert(number, Apart { number, in_log, other });
        }
        self.closed.insert(number, uid);
        if let Some(mut state) = self.channels.remove(&number) {
            self.empty(&mut state);
        }
    }

    /// What the log says of channels that are not known. A key counts whenever it is forgotten: clocks may differ between two runs.
    pub(crate) fn said(&mut self) -> Said {
        let mut said = std::mem::take(&mut self.said);
        let apart = &said.apart;
        let is_unknown =
            |number: &u32| *number != 0 && ((self.known.0)(*number).is_none() || apart.contains_key(number));
        let stored = self.channels.iter().filter(|(_, state)| state.messages_count() > 0);
        // There are millions of keys, of few channels.
        let of_keys: HashSet<u32, foldhash::fast::RandomState> =
            self.keys.values().map(|key| key.channel).collect();
        let holding = stored.map(|(number, _)| *number).chain(of_keys).filter(is_unknown).collect();
        let leaving = self.leaving.iter();
        let to_come = leaving
            .flat_map(|(from, leaving)| leaving.to_come.iter().map(|target| (*from, target.channel)))
            .filter(|(_, number)| is_unknown(number))
            .collect();
        (said.holding, said.to_come) = (holding, to_come);
        said.closed.clone_from(&self.closed);
        let highest = self.channels.keys().chain(&said.holding).copied().filter(|number| !is_outbox(*number));
        let highest = highest.chain(said.to_come.iter().map(|(_, number)| *number)).max().unwrap_or(0);
        said.next_number = said.next_number.max(highest.saturating_add(1));
        said
    }

    /// Drops all that there is of some channels.
    pub(super) fn drop_all_of(&mut self, numbers: &HashSet<u32>) {
        if numbers.is_empty() {
            return;
        }
        for number in numbers {
            if let Some(mut state) = self.channels.remove(number) {
                self.empty(&mut state);
            }
        }
        self.keys.retain(|_, key| !numbers.contains(&key.channel));
    }
}
