//! The writer's state: the files, and the facts on which a change is decided.

use std::iter;

use restante_wire::{Revision, control::StoreState};
use uuid::Uuid;

use super::{
    contents::{Change, Contents},
    disk::Disk,
    entry::StoredChannel,
    error::ApplyError,
    indices::Indices,
    plan::{Facts, Plan},
};
use crate::clock;

pub(super) struct Writer {
    pub(super) disk: Disk,
    pub(super) facts: Facts,
    store_id: Uuid,
}

impl Writer {
    /// A writer that continues from the contents of the disk.
    pub(super) fn new(disk: Disk, contents: &mut Contents, store_id: Uuid) -> Self {
        let in_set = || contents.channels.values().filter(|held| !held.orphan).map(|held| &held.entry.config);
        let facts = Facts {
            synced_at: contents.synced_at,
            revision: Revision::of(in_set()),
            channels: in_set().count(),
            orphans: contents.channels.values().filter(|held| held.orphan).count(),
            deleted: std::mem::take(&mut contents.deleted),
        };
        Self { disk, facts, store_id }
    }

    /// Persists a plan, and updates the facts.
    pub(super) fn commit(&mut self, indices: &Indices, plan: &Plan) -> Result<(), ApplyError> {
        let Self { disk, facts, .. } = self;
        // Manifests produce the same set again and again. It is not written each time, because the disk may be full.
        if !plan.changes_nothing(facts) {
            disk.commit(plan.changes(), || all_changes(indices, facts, Some(plan)))?;
        }
        for step in &plan.steps {
            let count = |held: &Option<StoredChannel>, orphan| {
                usize::from(held.as_ref().is_some_and(|held| held.orphan == orphan))
            };
            facts.channels = facts.channels + count(&step.after, false) - count(&step.before, false);
            facts.orphans = facts.orphans + count(&step.after, true) - count(&step.before, true);
            if let Some(held) = step.before.as_ref().filter(|held| !held.orphan) {
                facts.revision.remove(&held.entry.config);
            }
            if let Some(held) = step.after.as_ref().filter(|held| !held.orphan) {
                facts.revision.add(&held.entry.config);
            }
        }
        facts.synced_at = plan.synced_at.or(facts.synced_at);
        plan.deleted.iter().for_each(|uid| facts.deleted.remember(*uid));
        Ok(())
    }

    /// Writes a snapshot if one is due, after a change is visible.
    pub(super) fn tidy(&mut self, indices: &Indices) {
        if self.disk.is_snapshot_due() && !self.disk.failed().is_cancelled() {
            self.disk.compact(all_changes(indices, &self.facts, None));
        }
    }

    pub(super) fn state(&self) -> StoreState {
        StoreState {
            store_id: self.store_id,
            revision: self.facts.revision,
            synced_at: self.facts.synced_at.map(clock::rfc3339),
            channels: self.facts.channels as u64,
            orphans: self.facts.orphans as u64,
        }
    }
}

/// The contents of the store with a plan applied that is not yet in the indices and facts. The plan's changes come last
/// and therefore win.
fn all_changes<'a>(
    indices: &Indices,
    facts: &'a Facts,
    plan: Option<&'a Plan>,
) -> impl Iterator<Item = Change> + use<'a> {
    let held: Vec<_> = indices.all_held().collect();
    let after = plan.into_iter().flat_map(|plan| &plan.steps).filter_map(|step| step.after.clone());
    let channels = held.into_iter().chain(after).flat_map(|StoredChannel { entry, orphan }| {
        let put = Change::Put { id: entry.id, config: entry.config.clone().into() };
        iter::once(put).chain(orphan.then_some(Change::Orphan(entry.config.uid)))
    });
    let deleted = plan.into_iter().flat_map(|plan| plan.deleted.iter().copied());
    let deleted = facts.deleted.iter().chain(deleted).map(Change::Delete);
    let synced_at = plan.and_then(|plan| plan.synced_at).or(facts.synced_at);
    channels.chain(deleted).chain(synced_at.map(Change::Synced))
}
