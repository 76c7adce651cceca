//! A data folder without a broker: its parts, and the channels and messages that they contain.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use restante_wire::channel::Durability;
use uuid::Uuid;

use super::{MaintenanceError, damage::Damage, logs::Logs, report::NameFrom};
use crate::{
    address_store::{self, ChannelEntry},
    channel::{ChannelState, Message, Sequence},
    clock::Past,
    data_folder,
    log::{ChannelId, Position, Record},
    shard::{KnownUids, Replay, ownership::ChannelEvidence},
};

/// An inspected data folder, locked against changes while the value exists.
pub(super) struct FolderView {
    pub(super) folder: data_folder::inspection::InspectedFolder,
    pub(super) addresses: address_store::inspection::InspectedStore,
    pub(super) logs: Logs,
    pub(super) damage: Vec<Damage>,
    /// Counts of records, by kind.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    /// Deleted channels that are still in the address store, by `namespace/name` and UID: only the log has recorded the
    /// deletion.
    pub(super) deleted: Vec<(String, Uuid)>,
    /// Channels that the address store has lost, by id, and whether the log names them.
    lost: BTreeMap<ChannelId, bool>,
    replay: Replay,
    /// Messages with an unreadable content, by the positions of their records.
    unread: BTreeMap<Position, UnreadableMessage>,
}

/// A message with an unreadable content.
pub(super) struct UnreadableMessage {
    file: String,
    offset: u64,
    id: Uuid,
}

/// A channel of a data folder, and its messages.
#[derive(Clone, Copy)]
pub(super) struct ChannelView<'a> {
    pub(super) entry: &'a ChannelEntry,
    pub(super) orphan: bool,
    state: Option<&'a ChannelState>,
}

impl FolderView {
    /// Inspects a data folder completely.
    pub(super) fn of(path: &Path) -> Result<Self, MaintenanceError> {
        Self::in_folder(data_folder::inspection::InspectedFolder::open(path)?, true)
    }

    /// Inspects a data folder that was just created, and records the ids of its logs and its address store.
    pub(super) fn of_new(path: &Path) -> Result<Self, MaintenanceError> {
        let view = Self::in_folder(data_folder::inspection::InspectedFolder::open(path)?, false)?;
        data_folder::write_parts(path, view.logs.found().ids, view.addresses.id.clone())?;
        Ok(view)
    }

    fn in_folder(
        folder: data_folder::inspection::InspectedFolder,
        parts_are_written: bool,
    ) -> Result<Self, MaintenanceError> {
        // Without a readable `restante.json` the ids of the logs are unknown, so no log can be recognised as wrong.
        let parts_are_written = parts_are_written && folder.store_id().is_some();
        let mut addresses = address_store::inspection::inspect(&folder.addresses())?;
        let mut logs = Logs::inspect(&folder)?;
        let found = logs.found();
        let wrong: Vec<_> =
            data_folder::wrong_logs(&folder.log_ids, &found).filter(|_| parts_are_written).collect();
        if parts_are_written {
            logs.leave_out(|name| data_folder::is_foreign(name, &folder.log_ids, &found));
        }
        let known: HashMap<ChannelId, Uuid> =
            addresses.channels().iter().map(|(entry, _)| (entry.id, entry.config.uid)).collect();
        let known = KnownUids::by(move |id| known.get(&id).copied());
        let (mut replay, mut kinds) = (Replay::beside(known), BTreeMap::new());
        let mut unread = BTreeMap::new();
        let unreadable = logs.records(|seen, record| {
            *kinds.entry(kind(record)).or_default() += 1;
            replay.record(seen.position, &seen.head(record));
            if let Record::Message { message_id, .. } = record
                && seen.unread.is_some()
            {
                let (file, id) = (seen.file.to_owned(), Uuid::from_u128(*message_id));
                unread.insert(seen.position, UnreadableMessage { file, offset: seen.offset, id });
            }
        })?;
        replay.finish();
        let evidence = replay.channel_evidence();
        replay.deliver_parcels();
        let mut damage: Vec<_> =
            folder.damage.iter().map(|(file, reason)| Damage::of_file(file, reason)).collect();
        // A misplaced log is reported already.
        let wrong = wrong.iter().filter(|(name, _)| !folder.damage.iter().any(|(file, _)| file == name));
        damage.extend(wrong.map(|(name, reason)| Damage::of_file(name, reason)));
        let wrong = data_folder::wrong_addresses(folder.addresses_id.as_deref(), addresses.id.as_deref());
        damage.extend(wrong.map(|reason| Damage::of_file(data_folder::ADDRESSES, reason)));
        damage.extend(addresses.damage.iter().map(Damage::of_addresses));
        let deleted = complete_deletions(&mut addresses, &evidence);
        let (of_lost, lost) = adopt_lost(&mut addresses, &evidence);
        damage.extend(of_lost);
        damage.extend(logs.damage().iter().chain(&unreadable).map(Damage::of_log));
        damage.sort_by(|one, other| (&one.file, one.from).cmp(&(&other.file, other.from)));
        let mut view = Self { folder, addresses, logs, damage, kinds, deleted, lost, replay, unread };
        view.name_unread();
        Ok(view)
    }

    /// Names the messages of damaged contents in the report of the damage.
    fn name_unread(&mut self) {
        let mut named: BTreeMap<(String, u64), (Uuid, Vec<String>)> = BTreeMap::new();
        for held in self.channels() {
            for (_, message) in held.messages() {
                if let Some(UnreadableMessage { file, offset, id }) =
                    self.unread.get(&message.stored.position)
                {
                    let (_, channels) =
                        named.entry((file.clone(), *offset)).or_insert_with(|| (*id, Vec::new()));
                    channels.push(held.entry.config.qualified_name());
                }
            }
        }
        for damage in self.damage.iter_mut().filter(|damage| damage.is_of_content()) {
            if let Some((id, channels)) = named.get(&(damage.file.clone(), damage.from)) {
                damage.is_content_of(*id, channels);
            }
        }
    }

    /// The id of a message with an unreadable content, and the damage.
    pub(super) fn unread(&self, message: &Message) -> Option<(Uuid, String)> {
        let UnreadableMessage { file, offset, id } = self.unread.get(&message.stored.position)?;
        let damage = self.damage.iter().find(|damage| damage.file == *file && damage.from == *offset);
        damage.map(|damage| (*id, damage.line()))
    }

    /// The source of a channel's name.
    pub(super) fn name_from(&self, held: &ChannelView<'_>) -> NameFrom {
        match self.lost.get(&held.entry.id) {
            None => NameFrom::Addresses,
            Some(true) => NameFrom::Log,
            Some(false) => NameFrom::Nothing,
        }
    }

    /// The clock records of the logs.
    pub(super) fn past(&self) -> &Past {
        &self.replay.past
    }

    /// The channels, by name, without deleted ones.
    pub(super) fn channels(&self) -> Vec<ChannelView<'_>> {
        let states: BTreeMap<ChannelId, &ChannelState> = self.replay.channels().collect();
        let held = |(entry, orphan): (_, _)| {
            let entry: &ChannelEntry = entry;
            ChannelView { entry, orphan, state: states.get(&entry.id).copied() }
        };
        self.addresses.channels().into_iter().map(held).collect()
    }
}

impl<'a> ChannelView<'a> {
    /// The messages that a start would recover, by sequence.
    pub(super) fn messages(self) -> impl Iterator<Item = (Sequence, Cow<'a, Message>)> {
        let kept = self.entry.config.durability != Durability::Memory;
        self.state.filter(|_| kept).into_iter().flat_map(ChannelState::messages)
    }
}

/// Creates orphans for messages and keys of channels that are missing from the address store, as a start does. Also
/// returns whether the log has the name of each.
fn adopt_lost(
    addresses: &mut address_store::inspection::InspectedStore,
    evidence: &ChannelEvidence,
) -> (Option<Damage>, BTreeMap<ChannelId, bool>) {
    let known: BTreeSet<ChannelId> = addresses.channels().iter().map(|(entry, _)| entry.id).collect();
    let (is_known, is_taken) = (|id| known.contains(&id), |uid| addresses.has(uid));
    let orphans = evidence.orphans(is_known, is_taken, |uid| addresses.is_deleted(uid));
    let damage = (!orphans.is_empty()).then(|| Damage::of_lost(&orphans, addresses.has_files()));
    let lost = orphans.iter().map(|orphan| (orphan.entry.id, orphan.is_named)).collect();
    orphans.into_iter().for_each(|orphan| addresses.adopt(orphan.entry));
    (damage, lost)
}

/// Completes deletions that only the logs have recorded, as a start does. Returns the deleted channels that were still
/// in the address store.
fn complete_deletions(
    addresses: &mut address_store::inspection::InspectedStore,
    evidence: &ChannelEvidence,
) -> Vec<(String, Uuid)> {
    let held = |uid| addresses.id_of(uid);
    let unfinished = evidence.unfinished(held, |uid| addresses.is_deleted(uid), addresses.deletions_room());
    let entries = unfinished.into_iter().filter_map(|(_, uid)| addresses.complete(uid));
    entries.map(|entry| (entry.config.qualified_name(), entry.config.uid)).collect()
}

pub(super) fn kind(record: &Record<'_>) -> &'static str {
    match record {
        Record::Lease { .. } => "lease",
        Record::Removed { .. } => "removed",
        Record::ParcelDelivered { .. } => "parcel delivered",
        Record::ParcelFloor { .. } => "parcel floor",
        Record::Key { .. } => "key",
        Record::Message { .. } => "message",
        Record::State { .. } => "state",
        Record::Channel { .. } => "channel",
        Record::ChannelClosed { .. } => "channel closed",
        Record::Clock { .. } => "clock",
    }
}
