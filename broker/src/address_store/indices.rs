//! The six indices of the store, and how they publish a change.

use std::{iter, sync::Arc};

use uuid::Uuid;

use super::{
    contents::Contents,
    entry::{ChannelEntry, StoredChannel, id_of},
    index::{Index, Key},
    plan::Step,
};
use crate::log::ChannelId;

#[derive(Default)]
pub(super) struct Indices {
    /// The set by destination.
    pub(super) destination: Index<ByDestination>,
    /// The set by source.
    pub(super) source: Index<BySource>,
    /// The set by name.
    pub(super) name: Index<ByName>,
    /// The orphans by UID.
    pub(super) orphan: Index<ByUid>,
    /// The set and the orphans by UID.
    pub(super) uid: Index<ByUid>,
    /// The set and the orphans by id.
    pub(super) id: Index<ById>,
}

impl Indices {
    /// The channel of the set, or the orphan, with this UID.
    pub(super) fn held(&self, uid: Uuid) -> Option<StoredChannel> {
        self.uid.get(uid).map(|entry| StoredChannel { entry, orphan: self.orphan.get(uid).is_some() })
    }

    /// The channel or orphan of this UID, or the orphan that stands for it: its name was lost, so a start that found its
    /// records could only make up a UID for their id.
    pub(super) fn held_by_id(&self, uid: Uuid) -> Option<StoredChannel> {
        self.held(uid).or_else(|| {
            let entry = self.id.get(id_of(uid)).filter(|entry| id_of(entry.config.uid) != entry.id)?;
            self.held(entry.config.uid).filter(|held| held.orphan)
        })
    }

    /// Every channel of the set and every orphan.
    pub(super) fn all_held(&self) -> impl Iterator<Item = StoredChannel> {
        let in_set = self.name.entries().into_iter().map(StoredChannel::in_set);
        in_set.chain(self.orphan.entries().into_iter().map(StoredChannel::orphan))
    }

    /// Publishes the contents that were read from disk.
    pub(super) fn fill(&self, contents: Contents) {
        let steps: Vec<_> =
            contents.channels.into_values().map(|held| Step { before: None, after: Some(held) }).collect();
        self.show(&steps);
    }

    /// Publishes a change. Each key changes atomically, but the change as a whole does not: a reader may see one of its
    /// channels before another.
    pub(super) fn show(&self, steps: &[Step]) {
        let before = || steps.iter().filter_map(|step| step.before.as_ref());
        let after = || steps.iter().filter_map(|step| step.after.as_ref());
        // A reader that finds a channel by an address must also find it by id and UID, so these come first. A
        // deleted channel vanishes from them shortly before its addresses do; its worker thread has closed it before.
        self.id.update(before().map(entry), after().map(entry));
        self.uid.update(before().map(entry), after().map(entry));
        self.orphan.update(before().filter(is_orphan).map(entry), after().filter(is_orphan).map(entry));
        let (before, after) =
            (|| before().filter(is_in_set).map(entry), || after().filter(is_in_set).map(entry));
        self.name.update(before(), after());
        self.source.update(before(), after());
        self.destination.update(before(), after());
    }
}

fn entry(held: &StoredChannel) -> &Arc<ChannelEntry> {
    &held.entry
}

fn is_orphan(held: &&StoredChannel) -> bool {
    held.orphan
}

fn is_in_set(held: &&StoredChannel) -> bool {
    !held.orphan
}

pub(super) struct ByDestination;

impl Key for ByDestination {
    type Query<'a> = &'a str;

    fn of(entry: &ChannelEntry) -> impl Iterator<Item = &str> {
        entry.config.destinations.iter().map(|address| address.as_str())
    }

    fn matches(entry: &ChannelEntry, query: &str) -> bool {
        entry.config.destinations.iter().any(|address| address.as_str() == query)
    }
}

pub(super) struct BySource;

impl Key for BySource {
    type Query<'a> = &'a str;

    fn of(entry: &ChannelEntry) -> impl Iterator<Item = &str> {
        iter::once(entry.config.source.as_str())
    }

    fn matches(entry: &ChannelEntry, query: &str) -> bool {
        entry.config.source.as_str() == query
    }
}

pub(super) struct ByName;

impl Key for ByName {
    type Query<'a> = (&'a str, &'a str);

    fn of(entry: &ChannelEntry) -> impl Iterator<Item = (&str, &str)> {
        iter::once((entry.config.namespace.as_str(), entry.config.name.as_str()))
    }

    fn matches(entry: &ChannelEntry, (namespace, name): (&str, &str)) -> bool {
        entry.config.name == name && entry.config.namespace == namespace
    }
}

pub(super) struct ByUid;

impl Key for ByUid {
    type Query<'a> = Uuid;

    fn of(entry: &ChannelEntry) -> impl Iterator<Item = Uuid> {
        iter::once(entry.config.uid)
    }

    fn matches(entry: &ChannelEntry, query: Uuid) -> bool {
        entry.config.uid == query
    }
}

pub(super) struct ById;

impl Key for ById {
    type Query<'a> = ChannelId;

    fn of(entry: &ChannelEntry) -> impl Iterator<Item = ChannelId> {
        iter::once(entry.id)
    }

    fn matches(entry: &ChannelEntry, query: ChannelId) -> bool {
        entry.id == query
    }
}
