//! The six indices of the store, and how they publish a change.

use std::{iter, sync::Arc};

use uuid::Uuid;

use super::{
    contents::Contents,
    entry::{ChannelEntry, StoredChannel},
    index::{Index, Key},
    plan::Step,
};

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
    /// The set and the orphans by number.
    pub(super) number: Index<ByNumber>,
}

impl Indices {
    /// The channel of the set, or the orphan, with this UID.
    pub(super) fn held(&self, uid: Uuid) -> Option<StoredChannel> {
        self.uid.get(uid).map(|entry| StoredChannel { entry, orphan: self.orphan.get(uid).is_some() })
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
        // A reader that finds a channel by an address must also find it by number and UID, so these come first. A
        // deleted channel vanishes from them shortly before its addresses do; its worker thread has closed it before.
        self.number.update(before().map(entry), after().map(entry));
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

/// The channel number in the log's records.
pub(super) struct ByNumber;

impl Key for ByNumber {
    type Query<'a> = u32;

    fn of(entry: &ChannelEntry) -> impl Iterator<Item = u32> {
        iter::once(entry.number)
    }

    fn matches(entry: &ChannelEntry, query: u32) -> bool {
        entry.number == query
    }
}
