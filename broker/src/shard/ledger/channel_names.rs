//! Channel names in the log: each part of it names the channels of its messages and keys once. So messages are found
//! again after the address store is lost, and a channel continues its sequences after its messages were freed.

use std::collections::HashSet;

use crate::{
    log::{AppendError, ChannelId, Log, Position, Purpose, Record, Sync},
    shard::{Shard, facts::replay_channels::PartChannels},
};

/// The channels that the current part of the log names: a few bytes for each channel in which something was stored
/// meanwhile.
#[derive(Debug, Default)]
pub(in crate::shard) struct NamedChannels {
    part: u64,
    channels: HashSet<ChannelId, foldhash::fast::RandomState>,
}

impl NamedChannels {
    /// Whether a part of the log names a channel.
    #[cfg(test)]
    pub(in crate::shard) fn knows(&self, channel: ChannelId, part: u64) -> bool {
        self.part == part && self.channels.contains(&channel)
    }

    /// The log continues in this part.
    fn in_part(&mut self, part: u64) {
        if self.part != part {
            self.part = part;
            self.channels.clear();
        }
    }
}

impl<L: Log> Shard<L> {
    /// At start, continues with the names in the log's current part, and adds missing ones.
    pub(in crate::shard) fn resume_naming(&mut self, newest: PartChannels) {
        if newest.part != self.ledger.log.current_part() {
            return;
        }
        let unnamed = newest.unnamed();
        self.ledger.named = NamedChannels { part: newest.part, channels: newest.named };
        for channel in unnamed {
            // Without room, only a name is missing, which matters only if the address store is lost.
            if self.name_channel(channel, Purpose::Change).is_err() {
                break;
            }
            let _ = self.ledger.appended(Sync::Later);
        }
    }

    /// Appends a message, if there is room for one, and names its channels.
    pub(in crate::shard) fn append_message(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.name_channels(record, Purpose::Store)?;
        let position = self.ledger.log.append(record, Purpose::Store)?;
        self.name_channels_behind(record);
        Ok(position)
    }

    /// [`Self::append_message`] for a copy. A name never takes the room of copies: the part that is copied has the
    /// name, and without it here only the name would be lost.
    pub(in crate::shard) fn append_copied(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        let _ = self.name_channels(record, Purpose::Change);
        let position = self.ledger.log.append(record, Purpose::Copy)?;
        self.name_channels_behind(record);
        Ok(position)
    }

    /// The record itself may have begun a new part of the log.
    fn name_channels_behind(&mut self, record: &Record<'_>) {
        if self.ledger.log.current_part() != self.ledger.named.part {
            let _ = self.name_channels(record, Purpose::Change);
        }
    }

    /// Names the channels of the next record, unless this part of the log does.
    fn name_channels(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<(), AppendError> {
        match *record {
            Record::Message { targets, .. } => {
                targets.iter().try_for_each(|target| self.name_channel(target.channel, purpose))
            }
            Record::Key { channel, .. } => self.name_channel(channel, purpose),
            _ => Ok(()),
        }
    }

    fn name_channel(&mut self, channel: ChannelId, purpose: Purpose) -> Result<(), AppendError> {
        self.ledger.named.in_part(self.ledger.log.current_part());
        if self.ledger.named.channels.contains(&channel) {
            return Ok(());
        }
        // A channel that was deleted meanwhile needs no name.
        let Some(entry) = self.store.by_id(channel) else { return Ok(()) };
        let (uid, namespace, name) =
            (entry.config.uid.as_u128(), &*entry.config.namespace, &*entry.config.name);
        let next_sequence = self.known_next_sequence(channel);
        let record = Record::Channel { channel, uid, next_sequence, namespace, name };
        self.ledger.log.append(&record, purpose)?;
        self.ledger.named.in_part(self.ledger.log.current_part());
        self.ledger.named.channels.insert(channel);
        Ok(())
    }
}
