//! Evidence of channels in the log, collected during replay.

use std::{collections::HashSet, fmt};

use uuid::Uuid;

use super::{
    Replay,
    ownership::{ChannelEvidence, ChannelName},
};
use crate::log::{ChannelId, Record};

/// The UIDs of channel ids in the address store.
pub(crate) struct KnownUids(Box<dyn Fn(ChannelId) -> Option<Uuid> + Send>);

impl KnownUids {
    pub(crate) fn by(uid: impl Fn(ChannelId) -> Option<Uuid> + Send + 'static) -> Self {
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
    pub(super) named: HashSet<ChannelId, foldhash::fast::RandomState>,
    /// Channels of which the part has messages or keys.
    stored: HashSet<ChannelId, foldhash::fast::RandomState>,
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
    pub(super) fn unnamed(&self) -> Vec<ChannelId> {
        self.stored.difference(&self.named).copied().collect()
    }
}

impl Replay {
    /// Adds a name record.
    pub(super) fn named(&mut self, channel: ChannelId, uid: Uuid, namespace: &str, name: &str) {
        let known = self.evidence.names.get(&channel);
        if (self.known.0)(channel).is_none() && known.is_none_or(|known| known.uid != uid) {
            let name = ChannelName { uid, namespace: namespace.into(), name: name.into() };
            self.evidence.name(channel, name);
        }
    }

    /// Adds a deletion: all earlier records of the channel are dead.
    pub(super) fn closed(&mut self, channel: ChannelId, uid: Uuid) {
        self.closed.insert(channel, uid);
        if let Some(mut state) = self.channels.remove(&channel) {
            self.empty(&mut state);
        }
    }

    /// The evidence of channels that the address store does not know. Expired keys count as well: clocks may differ
    /// between two runs.
    pub(crate) fn channel_evidence(&mut self) -> ChannelEvidence {
        let mut evidence = std::mem::take(&mut self.evidence);
        let is_unknown = |channel: &ChannelId| (self.known.0)(*channel).is_none();
        let stored = self.channels.iter().filter(|(_, state)| state.messages_count() > 0);
        // There are millions of keys, of few channels.
        let of_keys: HashSet<ChannelId, foldhash::fast::RandomState> =
            self.keys.values().map(|key| key.channel).collect();
        let holding = stored.map(|(channel, _)| *channel).chain(of_keys);
        (evidence.holding, evidence.holding_known) = holding.partition(is_unknown);
        let leaving = self.leaving.iter();
        let to_come = leaving
            .flat_map(|(from, leaving)| leaving.to_come.iter().map(|target| (*from, target.channel)))
            .filter(|(_, channel_id)| is_unknown(channel_id))
            .collect();
        evidence.to_come = to_come;
        evidence.closed.clone_from(&self.closed);
        evidence
    }

    /// Drops the messages and keys of some channels.
    pub(super) fn drop_channels(&mut self, channel_ids: &HashSet<ChannelId>) {
        if channel_ids.is_empty() {
            return;
        }
        for channel_id in channel_ids {
            if let Some(mut state) = self.channels.remove(channel_id) {
                self.empty(&mut state);
            }
        }
        self.keys.retain(|_, key| !channel_ids.contains(&key.channel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Position, RecordHead};

    #[test]
    fn a_channel_continues_at_the_next_sequence_of_its_name_record() {
        let mut replay = Replay::default();
        for next_sequence in [0, 6, 4] {
            let (channel, uid, namespace, name) = (ChannelId(7), 1, "acme", "orders");
            let record = Record::Channel { channel, uid, next_sequence, namespace, name };
            replay.record(Position::for_test(1), &RecordHead::of(&record));
        }
        replay.finish();
        let next: Vec<_> = replay.channels().map(|(_, state)| state.next_sequence()).collect();
        assert_eq!(next, [6]);
    }
}
