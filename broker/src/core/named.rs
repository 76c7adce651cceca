//! The log knows its channels: each part of it says once whose the numbers are that its messages and keys have. So what was
//! stored is found again when the address store is lost, and a log of another time is told from this one.

use std::collections::HashSet;

use super::{Core, placement::is_outbox, told::PartTold};
use crate::log::{AppendError, Log, Position, Purpose, Record, Sync};

/// Channels that the part of the log says who they are that it goes on in. A few bytes for each that something is stored in
/// meanwhile; of others nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Named {
    part: u64,
    channels: HashSet<u32, foldhash::fast::RandomState>,
}

impl Named {
    /// Whether a part of the log says who a channel is.
    #[cfg(test)]
    pub(super) fn knows(&self, channel: u32, part: u64) -> bool {
        self.part == part && self.channels.contains(&channel)
    }

    /// The log goes on in this part.
    fn in_part(&mut self, part: u64) {
        if self.part != part {
            self.part = part;
            self.channels.clear();
        }
    }
}

impl<L: Log> Core<L> {
    /// At start: what the log goes on in says already whose it is, or is told.
    pub(super) fn go_on_naming(&mut self, told: PartTold) {
        if told.part != self.log.current_part() {
            return;
        }
        let unnamed = told.unnamed();
        self.named = Named { part: told.part, channels: told.named };
        for channel in unnamed {
            // Without room for it nothing is lost but a name, and that only with the address store.
            if self.name_channel(channel, Purpose::Change).is_err() {
                break;
            }
            let _ = self.appended(Sync::Later);
        }
    }

    /// Appends a message, if there is room for one, and says whose it is.
    pub(super) fn append_message(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.name_channels(record, Purpose::Store)?;
        let position = self.log.append(record, Purpose::Store)?;
        self.name_channels_behind(record);
        Ok(position)
    }

    /// The same of a copy. A name never takes the room of copies: the part that is copied has it, and what is in this one is found
    /// without it, but for its name.
    pub(super) fn append_copied(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        let _ = self.name_channels(record, Purpose::Change);
        let position = self.log.append(record, Purpose::Copy)?;
        self.name_channels_behind(record);
        Ok(position)
    }

    /// The log may have gone on in another part with the record itself.
    fn name_channels_behind(&mut self, record: &Record<'_>) {
        if self.log.current_part() != self.named.part {
            let _ = self.name_channels(record, Purpose::Change);
        }
    }

    /// Says whose a record is that is appended next, where this part of the log does not say so yet.
    fn name_channels(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<(), AppendError> {
        match *record {
            Record::Message { targets, .. } => {
                targets.iter().try_for_each(|target| self.name_channel(target.channel, purpose))
            }
            Record::ChannelKey { channel, .. } => self.name_channel(channel, purpose),
            _ => Ok(()),
        }
    }

    fn name_channel(&mut self, channel: u32, purpose: Purpose) -> Result<(), AppendError> {
        self.named.in_part(self.log.current_part());
        if is_outbox(channel) || self.named.channels.contains(&channel) {
            return Ok(());
        }
        // One that was deleted meanwhile needs no name.
        let Some(entry) = self.store.by_number(channel) else { return Ok(()) };
        let (uid, namespace, name) =
            (entry.config.uid.as_u128(), &*entry.config.namespace, &*entry.config.name);
        let record = Record::Channel { channel, uid, namespace, name };
        self.log.append(&record, purpose)?;
        self.named.in_part(self.log.current_part());
        self.named.channels.insert(channel);
        Ok(())
    }
}
