//! The log knows its channels: each part of it says once whose the numbers are that its messages and keys have. So what was
//! stored is found again when the address store is lost, and a log of another time is told from this one.

use std::collections::HashSet;

use super::{Core, StoreFailed, placement::is_outbox, told::PartTold};
use crate::log::{AppendError, Log, Position, Record, Sync};

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
            if self.name_channel(channel, true).is_err() {
                break;
            }
            let _ = self.appended(Sync::Later);
        }
    }

    /// Appends a message, if there is room beyond the reserve, and says whose it is.
    pub(super) fn append_message(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.name_channels(record, false)?;
        let position = self.log.append(record)?;
        self.name_channels_behind(record);
        Ok(position)
    }

    /// The same of a copy, with the reserve.
    pub(super) fn append_copied(&mut self, record: &Record<'_>) -> Result<Position, StoreFailed> {
        let named = self.name_channels(record, true);
        self.reserve_held(named)?;
        let position = self.append_reserved(record)?;
        self.name_channels_behind(record);
        Ok(position)
    }

    /// The log may have gone on in another part with the record itself.
    fn name_channels_behind(&mut self, record: &Record<'_>) {
        if self.log.current_part() != self.named.part {
            // If there is no room, the part before knows them; what is in this one is found all the same, but for its name.
            let _ = self.name_channels(record, true);
        }
    }

    /// Says whose a record is that is appended next, where this part of the log does not say so yet.
    fn name_channels(&mut self, record: &Record<'_>, reserved: bool) -> Result<(), AppendError> {
        match *record {
            Record::Message { targets, .. } => {
                targets.iter().try_for_each(|target| self.name_channel(target.channel, reserved))
            }
            Record::ChannelKey { channel, .. } => self.name_channel(channel, reserved),
            _ => Ok(()),
        }
    }

    fn name_channel(&mut self, channel: u32, reserved: bool) -> Result<(), AppendError> {
        self.named.in_part(self.log.current_part());
        if is_outbox(channel) || self.named.channels.contains(&channel) {
            return Ok(());
        }
        // One that was deleted meanwhile needs no name.
        let Some(entry) = self.store.by_number(channel) else { return Ok(()) };
        let (uid, namespace, name) =
            (entry.config.uid.as_u128(), &*entry.config.namespace, &*entry.config.name);
        let record = Record::Channel { channel, uid, namespace, name };
        if reserved { self.log.append_reserved(&record) } else { self.log.append(&record) }?;
        self.named.in_part(self.log.current_part());
        self.named.channels.insert(channel);
        Ok(())
    }
}
