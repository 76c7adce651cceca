//! A data folder as it is seen without a broker: its parts, and what they add up to.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use restante_wire::{Address, ChannelConfig, channel::Durability};
use uuid::Uuid;

use super::{CareError, damage::Damage, logs::Logs};
use crate::{
    address_store::{self, ChannelEntry},
    channel::{ChannelState, Message, Sequence},
    clock::Past,
    core::Replay,
    data_folder,
    log::{Record, RecordHead},
};

/// The namespace of channels whose entries are lost. No namespace of Kubernetes has this name: it would have to be made.
const LOST_NAMESPACE: &str = "restante-lost";

/// A data folder that was looked at. Nobody changes it for as long as the value lives.
pub(super) struct View {
    pub(super) folder: data_folder::look::Looked,
    pub(super) addresses: address_store::look::Looked,
    pub(super) logs: Logs,
    pub(super) damage: Vec<Damage>,
    /// How many records there are of each kind.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    replay: Replay,
}

/// A channel of a data folder, with what it holds.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) entry: &'a ChannelEntry,
    pub(super) orphan: bool,
    state: Option<&'a ChannelState>,
}

impl View {
    /// Looks at a data folder, from one end to the other.
    pub(super) fn of(path: &Path) -> Result<Self, CareError> {
        let folder = data_folder::look::Looked::open(path)?;
        let mut addresses = address_store::look::look(&folder.addresses())?;
        let logs = Logs::look(&folder)?;
        let (mut replay, mut kinds) = (Replay::default(), BTreeMap::new());
        let unreadable = logs.records(|seen, record| {
            *kinds.entry(kind(record)).or_default() += 1;
            replay.record(seen.position, &RecordHead::of(record));
        })?;
        replay.finish();
        replay.hand_over();
        let mut damage: Vec<_> =
            folder.harm.iter().map(|(file, reason)| Damage::of_file(file, reason)).collect();
        damage.extend(addresses.harm.iter().map(Damage::of_addresses));
        let apart = adopt_lost(&mut addresses, &replay);
        damage.extend(apart);
        damage.extend(logs.harm().iter().chain(&unreadable).map(Damage::of_log));
        damage.sort_by(|one, other| (&one.file, one.from).cmp(&(&other.file, other.from)));
        Ok(Self { folder, addresses, logs, damage, kinds, replay })
    }

    /// What is known of the time.
    pub(super) fn past(&self) -> &Past {
        &self.replay.past
    }

    /// The channels, by number. Those that were deleted are none.
    pub(super) fn channels(&self) -> Vec<Held<'_>> {
        let states: BTreeMap<u32, &ChannelState> = self.replay.channels().collect();
        let held = |(entry, orphan): (_, _)| {
            let entry: &ChannelEntry = entry;
            Held { entry, orphan, state: states.get(&entry.number).copied() }
        };
        self.addresses.channels().into_iter().map(held).collect()
    }
}

impl<'a> Held<'a> {
    /// The messages that a start would find in it, by sequence.
    pub(super) fn messages(self) -> impl Iterator<Item = (Sequence, Cow<'a, Message>)> {
        let kept = self.entry.config.durability != Durability::Memory;
        self.state.filter(|_| kept).into_iter().flat_map(ChannelState::messages)
    }
}

/// Gives the messages of channels that the address store does not know a channel to belong to, unless they were deleted.
fn adopt_lost(addresses: &mut address_store::look::Looked, replay: &Replay) -> Option<Damage> {
    let known: Vec<u32> = addresses.channels().iter().map(|(entry, _)| entry.number).collect();
    let whole = addresses.harm.is_empty();
    let unknown = replay.channels().filter(|(number, state)| {
        let deleted = whole && addresses.is_given(*number);
        !known.contains(number) && !deleted && state.messages_count() > 0
    });
    let unknown: Vec<u32> = unknown.map(|(number, _)| number).collect();
    for number in &unknown {
        let name = format!("channel-{number}");
        let Ok(address) = Address::new(LOST_NAMESPACE, &name) else { continue };
        // The same one each time that the folder is looked at.
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let config = ChannelConfig::new(uid, LOST_NAMESPACE, &name, address);
        addresses.adopt(ChannelEntry { number: *number, config });
    }
    unknown.first().map(|number| Damage::of_channel(*number, unknown.len()))
}

/// The name of a record's kind.
pub(super) fn kind(record: &Record<'_>) -> &'static str {
    match record {
        Record::Push { .. } => "push",
        Record::Lease { .. } => "lease",
        Record::Release { .. } => "release",
        Record::Settle { .. } => "settle",
        Record::IdempotencyKey { .. } | Record::Key { .. } | Record::ChannelKey { .. } => "key",
        Record::Message { .. } => "message",
        Record::State { .. } => "state",
        Record::Clock { .. } => "clock",
    }
}
