//! Evidence of channels in the log, collected during replay.

use std::{collections::HashSet, fmt};

use uuid::Uuid;

use super::{
    Replay,
    ownership::{ChannelEvidence, ChannelName, UidConflict},
    placement::is_relay_number,
};
use crate::log::Record;

/// The UIDs of channel numbers in the address store.
pub(crate) struct KnownUids(Box<dyn Fn(u32) -> Option<Uuid> + Send>);

impl KnownUids {
    pub(crate) fn by(uid: impl Fn(u32) -> Option<Uuid> + Send + 'static) -> Self {
        Self(Box::new(uid))
    }
}

impl fmt::Debug for KnownUids {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KnownUids")
    }
}

/// The channels of one part of the log.
#[derive(Debug, Default)]
pub(super) struct PartChannels {
    pub(super) part: u64,
    /// Channels that the part names.
    pub(super) named: HashSet<u32, foldhash::fast::RandomState>,
    /// Channels of which the part has messages or keys.
    stored: HashSet<u32, foldhash::fast::RandomState>,
}

impl PartChannels {
    /// Adds a record. If it begins a new part, the channels before are dropped.
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
            Record::Key { channel, .. } => {
                self.stored.insert(*channel);
            }
            Record::Channel { channel, .. } => {
                self.named.insert(*channel);
            }
            _ => {}
        }
    }

    /// Channels with records but without a name: the end of another part was copied here when the log was opened.
    pub(super) fn unnamed(&self) -> Vec<u32> {
        self.stored.difference(&self.named).copied().collect()
    }
}

impl Replay {
    /// Notes that a number is used.
    fn mentioned(&mut self, channel: u32) {
        if !is_relay_number(channel) {
            self.evidence.next_number = self.evidence.next_number.max(channel.saturating_add(1));
        }
    }

    /// Adds a name record.
    pub(super) fn named(&mut self, number: u32, uid: Uuid, namespace: &str, name: &str) {
        self.mentioned(number);
        let evidence = || ChannelName { uid, namespace: namespace.into(), name: name.into() };
        match (self.known.0)(number) {
            Some(known) if known == uid => {}
            Some(other) => {
                let conflict = UidConflict { number, in_log: evidence().to_string(), other };
                self.evidence.conflicts.insert(number, conflict);
                self.evidence.name(number, evidence());
            }
            None if self.evidence.names.get(&number).is_some_and(|name| name.uid == uid) => {}
            None => self.evidence.name(number, evidence()),
        }
    }

    /// Adds a deletion: all earlier records of the channel are dead.
    pub(super) fn closed(&mut self, number: u32, uid: Uuid) {
        self.mentioned(number);
        if let Some(other) = (self.known.0)(number).filter(|other| *other != uid) {
            let in_log = format!("{uid}, which was deleted,");
            self.evidence.conflicts.insert(number, UidConflict { number, in_log, other });
        }
        self.closed.insert(number, uid);
        if let Some(mut state) = self.channels.remove(&number) {
            self.empty(&mut state);
        }
    }

    /// The evidence of channels that the address store does not know. Expired keys count as well: clocks may differ
    /// between two runs.
    pub(crate) fn channel_evidence(&mut self) -> ChannelEvidence {
        let mut evidence = std::mem::take(&mut self.evidence);
        let conflicts = &evidence.conflicts;
        let is_unknown = |number: &u32| {
            *number != 0 && ((self.known.0)(*number).is_none() || conflicts.contains_key(number))
        };
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
        (evidence.holding, evidence.to_come) = (holding, to_come);
        evidence.closed.clone_from(&self.closed);
        let highest =
            self.channels.keys().chain(&evidence.holding).copied().filter(|number| !is_relay_number(*number));
        let highest = highest.chain(evidence.to_come.iter().map(|(_, number)| *number)).max().unwrap_or(0);
        evidence.next_number = evidence.next_number.max(highest.saturating_add(1));
        evidence
    }

    /// Drops the messages and keys of some channels.
    pub(super) fn drop_channels(&mut self, numbers: &HashSet<u32>) {
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
