//! Evidence of channels in the log, collected during replay.

use std::{collections::HashSet, fmt};

use uuid::Uuid;

use crate::{
    channel::ChannelState,
    log::{ChannelId, Record},
    shard::{
        Replay,
        ownership::{ChannelEvidence, ChannelName},
    },
};

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
pub(in crate::shard) struct PartChannels {
    pub(in crate::shard) part: u64,
    /// Channels that the part names.
    pub(in crate::shard) named: HashSet<ChannelId, foldhash::fast::RandomState>,
    /// Channels of which the part has messages or keys.
    stored: HashSet<ChannelId, foldhash::fast::RandomState>,
}

impl PartChannels {
    /// Adds a record. If it begins a new part, the channels before are dropped.
    pub(in crate::shard) fn record(&mut self, part: u64, record: &Record<'_>) {
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
    pub(in crate::shard) fn unnamed(&self) -> Vec<ChannelId> {
        self.stored.difference(&self.named).copied().collect()
    }
}

impl Replay {
    /// Adds a name record.
    pub(in crate::shard) fn named(&mut self, channel: ChannelId, uid: Uuid, namespace: &str, name: &str) {
        let known = self.evidence.names.get(&channel);
        if (self.known.0)(channel).is_none() && known.is_none_or(|known| known.uid != uid) {
            let name = ChannelName { uid, namespace: namespace.into(), name: name.into() };
            self.evidence.name(channel, name);
        }
    }

    /// The evidence of channels that the address store does not know. Expired keys count as well: clocks may differ
    /// between two runs.
    pub(crate) fn channel_evidence(&mut self) -> ChannelEvidence {
        let mut evidence = std::mem::take(&mut self.evidence);
        let is_unknown = |channel: &ChannelId| (self.known.0)(*channel).is_none();
        let stored = self.channels().filter(|(_, state)| state.messages_count() > 0);
        // There are millions of keys, of few channels.
        let of_keys: HashSet<ChannelId, foldhash::fast::RandomState> =
            self.facts.keys.0.values().map(|key| key.channel).collect();
        let holding = stored.map(|(channel, _)| channel).chain(of_keys);
        (evidence.holding, evidence.holding_known) = holding.partition(is_unknown);
        let open = self.facts.parcels.iter();
        let to_come = open
            .flat_map(|(from, open)| open.to_come.iter().map(|target| (*from, target.channel)))
            .filter(|(_, channel_id)| is_unknown(channel_id))
            .collect();
        evidence.to_come = to_come;
        evidence.closed.clone_from(&self.facts.closed);
        evidence
    }

    /// Drops the messages and keys of some channels.
    pub(in crate::shard) fn drop_channels(&mut self, channel_ids: &HashSet<ChannelId>) {
        if channel_ids.is_empty() {
            return;
        }
        for channel_id in channel_ids {
            if let Some(channel) = self.facts.channels.remove(channel_id) {
                self.release_all(&channel.state);
            }
        }
        self.drop_keys(channel_ids);
    }

    /// Releases the records of all messages of a channel.
    pub(in crate::shard) fn release_all(&mut self, state: &ChannelState) {
        let Self { facts, dead, .. } = self;
        let mut release = |position| dead.push(position);
        state.messages().for_each(|(_, message)| facts.release_message(&message, &mut release));
    }

    /// Drops the keys of some channels.
    pub(in crate::shard) fn drop_keys(&mut self, channel_ids: &HashSet<ChannelId>) {
        let Self { facts, dead, .. } = self;
        facts.keys.0.retain(|_, key| {
            let stays = !channel_ids.contains(&key.channel);
            dead.extend((!stays && key.alone).then_some(key.position));
            stays
        });
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
