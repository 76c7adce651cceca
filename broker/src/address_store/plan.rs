//! The plan of a change, decided completely before any of it is done. No IO and no clock.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use restante_wire::{Address, ChannelConfig, Revision, channel::SHARED_DESTINATION_CHANNELS_MAX};
use uuid::Uuid;

use super::{
    CHANNELS_AND_ORPHANS_MAX, CHANNELS_MAX,
    contents::{Change, Deleted},
    entry::{Changes, ChannelEntry, StoredChannel},
    error::{ApplyError, Claim, Conflict},
    indices::Indices,
};
use crate::{clock::Millis, log::ChannelId};

/// State of the store that is not in the indices.
pub(super) struct Facts {
    pub(super) deleted: Deleted,
    pub(super) synced_at: Option<Millis>,
    pub(super) revision: Revision,
    /// Channels in the set, without orphans.
    pub(super) channels: usize,
    pub(super) orphans: usize,
}

/// One channel before and after a change.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) before: Option<StoredChannel>,
    pub(super) after: Option<StoredChannel>,
}

/// A change that is valid.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// UIDs to remember as deleted.
    pub(super) deleted: Vec<Uuid>,
    /// Ids of channels that are new.
    new_ids: HashSet<ChannelId>,
    /// When the whole set was received, if this is one.
    pub(super) synced_at: Option<Millis>,
}

impl Plan {
    /// The change in the form of the journal.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        let steps = self.steps.iter().flat_map(|step| {
            let put = step.after.as_ref().filter(|after| !after.orphan || step.before.is_none());
            let put = put.map(|StoredChannel { entry, .. }| Change::Put {
                id: entry.id,
                config: entry.config.clone().into(),
            });
            let orphan = step.after.as_ref().filter(|after| after.orphan);
            put.into_iter().chain(orphan.map(|held| Change::Orphan(held.entry.config.uid)))
        });
        steps
            .chain(self.deleted.iter().copied().map(Change::Delete))
            .chain(self.synced_at.map(Change::Synced))
    }

    /// Whether the change would only update the time of the last sync, in a store that had received a whole set before.
    pub(super) fn changes_nothing(&self, facts: &Facts) -> bool {
        self.steps.is_empty() && self.deleted.is_empty() && facts.synced_at.is_some()
    }

    /// The outcome of the change, for the worker threads.
    pub(super) fn outcome(&self) -> Changes {
        let mut changes = Changes::default();
        for step in &self.steps {
            let in_set = |side: &Option<StoredChannel>| {
                side.as_ref().filter(|held| !held.orphan).map(|held| Arc::clone(&held.entry))
            };
            let (before, after) = (in_set(&step.before), in_set(&step.after));
            if let Some(before) = &before
                && after.as_ref().is_none_or(|after| after.config.source != before.config.source)
            {
                changes.withdrawn.push(before.id);
            }
            changes.changed.extend(after);
        }
        changes
    }

    /// The names of the orphans that return to the set.
    pub(super) fn brought_back(&self) -> Vec<String> {
        let back = self.steps.iter().filter(|step| step.before.as_ref().is_some_and(|before| before.orphan));
        back.filter_map(|step| Some(step.after.as_ref()?.entry.config.qualified_name())).collect()
    }

    /// The channel that the plan deletes.
    pub(super) fn removed(self) -> Option<Arc<ChannelEntry>> {
        self.steps.into_iter().find(|step| step.after.is_none())?.before.map(|held| held.entry)
    }

    /// Deletes a channel or orphan, and remembers its UID.
    fn delete(&mut self, indices: &Indices, facts: &Facts, uid: Uuid) {
        let before = indices.held(uid);
        self.steps.extend(before.map(|held| Step { before: Some(held), after: None }));
        self.deleted.extend((!facts.deleted.contains(uid)).then_some(uid));
    }

    /// Adds a step to this configuration, unless the set has it already.
    fn take(
        &mut self,
        indices: &Indices,
        before: Option<StoredChannel>,
        config: ChannelConfig,
    ) -> Result<(), ApplyError> {
        if before.as_ref().is_some_and(|held| !held.orphan && held.entry.config == config) {
            return Ok(());
        }
        if let Some(held) = &before
            && held.entry.config.durability != config.durability
            && !(held.orphan && is_made_up(&held.entry.config))
        {
            let (is, wanted) = (held.entry.config.durability, config.durability);
            let (uid, channel) = (config.uid, config.qualified_name());
            return Err(ApplyError::Durability { uid, channel, is, wanted });
        }
        let entry = match &before {
            Some(held) => ChannelEntry { id: held.entry.id, config },
            None => ChannelEntry::new(config),
        };
        // 0 is what unwritten bytes look like.
        let mut is_free = |id| id != ChannelId(0) && indices.id.get(id).is_none() && self.new_ids.insert(id);
        if before.is_none() && !is_free(entry.id) {
            let (uid, channel) = (entry.config.uid, entry.config.qualified_name());
            return Err(ApplyError::IdTaken { uid, channel });
        }
        // The UID of an orphan whose name was lost is only made up.
        let before_uid = before.as_ref().map(|held| held.entry.config.uid);
        self.deleted.extend(before_uid.filter(|uid| *uid != entry.config.uid));
        self.steps.push(Step { before, after: Some(StoredChannel::in_set(Arc::new(entry))) });
        Ok(())
    }
}

/// Whether a channel may be one that a start created for messages of a lost channel: only its name was known, not its
/// durability.
fn is_made_up(config: &ChannelConfig) -> bool {
    let ChannelConfig { uid, namespace, name, source, .. } = config;
    *config == ChannelConfig::new(*uid, namespace, name, source.clone())
}

pub(super) fn sync(
    indices: &Indices,
    facts: &Facts,
    channels: Vec<ChannelConfig>,
    now: Millis,
) -> Result<Plan, ApplyError> {
    if channels.len() > CHANNELS_MAX {
        return Err(ApplyError::TooMany(channels.len()));
    }
    for channel in &channels {
        channel.check()?;
        refuse_deleted(facts, channel)?;
    }
    refuse_conflicts_within(&channels)?;

    let mut plan = Plan { synced_at: Some(now), ..Plan::default() };
    let named: HashSet<Uuid> = channels.iter().map(|channel| channel.uid).collect();
    let mut orphans = facts.orphans;
    for entry in indices.name.entries() {
        if !named.contains(&entry.config.uid) {
            orphans += 1;
            let before = Some(StoredChannel::in_set(Arc::clone(&entry)));
            plan.steps.push(Step { before, after: Some(StoredChannel::orphan(entry)) });
        }
    }
    let count = channels.len();
    for channel in channels {
        let before = indices.held_by_id(channel.uid);
        orphans -= usize::from(before.as_ref().is_some_and(|held| held.orphan));
        plan.take(indices, before, channel)?;
    }
    if count + orphans > CHANNELS_AND_ORPHANS_MAX {
        return Err(ApplyError::TooManyOrphans(count + orphans));
    }
    Ok(plan)
}

/// Adds or changes one channel.
pub(super) fn put(indices: &Indices, facts: &Facts, channel: ChannelConfig) -> Result<Plan, ApplyError> {
    channel.check()?;
    refuse_deleted(facts, &channel)?;
    refuse_conflicts_with_set(indices, &channel)?;
    let before = indices.held_by_id(channel.uid);
    if before.as_ref().is_none_or(|held| held.orphan) && facts.channels >= CHANNELS_MAX {
        return Err(ApplyError::TooMany(facts.channels + 1));
    }
    if before.is_none() && facts.channels + facts.orphans >= CHANNELS_AND_ORPHANS_MAX {
        return Err(ApplyError::TooManyOrphans(facts.channels + facts.orphans + 1));
    }
    let mut plan = Plan::default();
    plan.take(indices, before, channel)?;
    Ok(plan)
}

/// Adds lost channels as orphans. No other channel has their ids or UIDs.
pub(super) fn adopt(orphans: Vec<ChannelEntry>) -> Plan {
    let mut plan = Plan::default();
    let step = |entry: ChannelEntry| Step { before: None, after: Some(StoredChannel::orphan(entry.into())) };
    plan.steps.extend(orphans.into_iter().map(step));
    plan
}

pub(super) fn remove(indices: &Indices, facts: &Facts, uid: Uuid) -> Plan {
    let mut plan = Plan::default();
    plan.delete(indices, facts, uid);
    plan
}

/// Completes deletions. Another channel that has one of the UIDs is not affected.
pub(super) fn complete(indices: &Indices, facts: &Facts, deletions: &[(ChannelId, Uuid)]) -> Plan {
    let mut plan = Plan::default();
    for (id, uid) in deletions {
        if indices.uid.get(*uid).is_none_or(|entry| entry.id == *id) {
            plan.delete(indices, facts, *uid);
        }
    }
    plan
}

fn refuse_deleted(facts: &Facts, channel: &ChannelConfig) -> Result<(), ApplyError> {
    if facts.deleted.contains(channel.uid) {
        return Err(ApplyError::Deleted { uid: channel.uid, channel: channel.qualified_name() });
    }
    Ok(())
}

/// Refuses a channel that claims something of another channel in the set.
fn refuse_conflicts_with_set(indices: &Indices, channel: &ChannelConfig) -> Result<(), Conflict> {
    let differs = |other: Option<Arc<ChannelEntry>>, claim, value: String| match other {
        Some(other) if other.config.uid != channel.uid => Err(conflict(claim, value, &other.config, channel)),
        _ => Ok(()),
    };
    differs(indices.name.get((&channel.namespace, &channel.name)), Claim::Name, channel.qualified_name())?;
    differs(indices.source.get(channel.source.as_str()), Claim::Source, channel.source.to_string())?;
    for address in &channel.destinations {
        let others = indices.destination.get_all(address.as_str());
        let others = others.iter().map(|entry| &entry.config).filter(|other| other.uid != channel.uid);
        share(others, channel, address)?;
    }
    Ok(())
}

/// Refuses a destination of other channels, unless all of them share it and are below the limit.
fn share<'a>(
    others: impl Iterator<Item = &'a ChannelConfig>,
    channel: &ChannelConfig,
    address: &Address,
) -> Result<(), Conflict> {
    for (count, other) in others.enumerate() {
        if !(other.shared_destination && channel.shared_destination) {
            return Err(conflict(Claim::Destination, address.to_string(), other, channel));
        }
        if count + 2 > SHARED_DESTINATION_CHANNELS_MAX {
            return Err(conflict(Claim::FullDestination, address.to_string(), other, channel));
        }
    }
    Ok(())
}

/// Refuses a set in which two channels claim the same.
fn refuse_conflicts_within(channels: &[ChannelConfig]) -> Result<(), Conflict> {
    let mut uids = Claims::new(Claim::Uid, channels.len());
    let mut names = Claims::new(Claim::Name, channels.len());
    let mut sources = Claims::new(Claim::Source, channels.len());
    let mut destinations: HashMap<&str, Vec<&ChannelConfig>> = HashMap::with_capacity(channels.len());
    for channel in channels {
        uids.claim(channel.uid, channel, || channel.uid.to_string())?;
        names.claim((channel.namespace.as_str(), channel.name.as_str()), channel, || {
            channel.qualified_name()
        })?;
        sources.claim(channel.source.as_str(), channel, || channel.source.to_string())?;
        for address in &channel.destinations {
            let others = destinations.entry(address.as_str()).or_default();
            share(others.iter().copied(), channel, address)?;
            others.push(channel);
        }
    }
    Ok(())
}

/// The claims of one kind so far.
struct Claims<'a, K> {
    claim: Claim,
    by: HashMap<K, &'a ChannelConfig>,
}

impl<'a, K: Eq + Hash> Claims<'a, K> {
    fn new(claim: Claim, capacity: usize) -> Self {
        Self { claim, by: HashMap::with_capacity(capacity) }
    }

    fn claim(
        &mut self,
        key: K,
        channel: &'a ChannelConfig,
        value: impl Fn() -> String,
    ) -> Result<(), Conflict> {
        match self.by.insert(key, channel) {
            Some(other) => Err(conflict(self.claim, value(), other, channel)),
            None => Ok(()),
        }
    }
}

fn conflict(claim: Claim, value: String, first: &ChannelConfig, second: &ChannelConfig) -> Conflict {
    let called = |channel: &ChannelConfig| match claim {
        Claim::Name => format!("{} ({})", channel.qualified_name(), channel.uid),
        _ => channel.qualified_name(),
    };
    Conflict { claim, value, first: called(first), second: called(second) }
}
