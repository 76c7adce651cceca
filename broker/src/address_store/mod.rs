//! The address information store: which channels a destination has, and which channel a source has.
//!
//! Readers take no lock: each index is 256 immutable shards that a change replaces ([`index`]). Writers queue at one
//! mutex. A change is decided completely ([`plan`]), then persisted ([`disk`]), and only then visible ([`indices`]).
//!
//! Architecture Invariant: absence never deletes. A channel that is missing from a whole set becomes an orphan, which
//! keeps its id, its configuration and its messages; only [`AddressStore::remove`] deletes.

mod contents;
mod disk;
mod entry;
mod error;
mod frame;
mod index;
mod indices;
pub(crate) mod inspection;
mod journal;
mod plan;
mod search;
mod snapshot;
pub(crate) mod succession;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use restante_wire::{ChannelConfig, control::StoreState};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use disk::JOURNAL;
pub use entry::{Changes, ChannelEntry};
pub use error::{ApplyError, Claim, Conflict, OpenError};

use crate::{
    clock::{Millis, TimeSource},
    first_failure::FirstFailure,
    log::{ChannelId, disk::storage::Guard},
};
use indices::Indices;
use writer::Writer;

/// Maximum of channels in the set: the number for which the cost of a change stays constant.
pub const CHANNELS_MAX: usize = 1_000_000;
/// Maximum of channels and orphans together: a whole set can be replaced by another one.
pub const CHANNELS_AND_ORPHANS_MAX: usize = 2 * CHANNELS_MAX;
/// Limit of remembered deleted UIDs, the most recent ones. A PUT that was under way when its channel was deleted
/// arrives within seconds, and this number of deletions takes hours.
pub const DELETED_REMEMBERED_MAX: usize = 100_000;

/// Names in a list before the rest is only counted.
const NAMED_MAX: usize = 20;

/// A list of names, shortened if it is long.
pub(crate) fn some_of(names: &[String]) -> String {
    let text = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => text,
        more => format!("{text}, and {more} more"),
    }
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct AddressStore(Arc<Inner>);

struct Inner {
    indices: Indices,
    state: ArcSwap<StoreState>,
    times: TimeSource,
    failed: CancellationToken,
    failure: FirstFailure,
    writer: Mutex<Writer>,
}

impl AddressStore {
    /// Reads the store in a folder and prepares it for changes: [`Self::read`] and [`Self::begin`].
    pub fn open(folder: &Path, store_id: Uuid) -> Result<Self, OpenError> {
        let store = Self::read(folder, store_id)?;
        store.begin()?;
        Ok(store)
    }

    /// Reads the store in a folder, which may be missing, without changing it; `store_id` is the data folder's. Changes
    /// are possible after [`Self::begin`].
    ///
    /// Blocks on the disk.
    pub fn read(folder: &Path, store_id: Uuid) -> Result<Self, OpenError> {
        let (disk, mut contents) = disk::Disk::read(folder)?;
        let indices = Indices::default();
        let writer = Writer::new(disk, &mut contents, store_id);
        // The wall clock is enough: only people read when the store was last synced.
        let times = TimeSource::system();
        indices.fill(contents);
        let state = ArcSwap::from_pointee(writer.state());
        let (failed, failure) = (writer.disk.failed(), writer.disk.failure());
        Ok(Self(Arc::new(Inner { indices, state, times, failed, failure, writer: Mutex::new(writer) })))
    }

    /// The id of the address store from its files; a new store has none.
    pub fn id(&self) -> Option<String> {
        self.writer().disk.id()
    }

    /// Sets the id of the address store, before [`Self::begin`].
    pub fn set_id(&self, id: String) {
        self.writer().disk.set_id(id);
    }

    /// Prepares the store for changes, once the log is known to belong to this store and not to another one.
    ///
    /// Blocks on the disk.
    pub fn begin(&self) -> Result<(), OpenError> {
        self.writer().disk.begin()
    }

    /// Makes every later change fail if another process may write to the folder: two writers would undo each other's
    /// changes.
    pub fn keep(&self, guard: Arc<dyn Guard>) {
        self.writer().disk.keep(guard);
    }

    /// Whether a whole set was ever applied. Before that, an unknown address may belong to a channel that is not
    /// configured yet: 503, not 404.
    pub fn is_programmed(&self) -> bool {
        self.0.state.load().synced_at.is_some()
    }

    /// The channels with this destination: one, or all that share it.
    pub fn destination(&self, address: &str) -> Vec<Arc<ChannelEntry>> {
        self.0.indices.destination.get_all(address)
    }

    /// The channel with this source.
    pub fn source(&self, address: &str) -> Option<Arc<ChannelEntry>> {
        self.0.indices.source.get(address)
    }

    pub fn by_name(&self, namespace: &str, name: &str) -> Option<Arc<ChannelEntry>> {
        self.0.indices.name.get((namespace, name))
    }

    /// The channel or orphan with this UID.
    pub fn by_uid(&self, uid: Uuid) -> Option<Arc<ChannelEntry>> {
        self.0.indices.uid.get(uid)
    }

    /// The channel or orphan with this id.
    pub fn by_id(&self, id: ChannelId) -> Option<Arc<ChannelEntry>> {
        self.0.indices.id.get(id)
    }

    /// Whether a channel or an orphan has this id.
    pub fn is_known(&self, id: ChannelId) -> bool {
        self.by_id(id).is_some()
    }

    /// Whether the channel with this UID was deleted.
    pub fn is_deleted(&self, uid: Uuid) -> bool {
        self.writer().facts.deleted.contains(uid)
    }

    /// All channels of the set, unordered.
    pub fn channels(&self) -> Vec<Arc<ChannelEntry>> {
        self.0.indices.name.entries()
    }

    /// All orphans, unordered: channels that are no longer in the set and keep their messages.
    pub fn orphans(&self) -> Vec<Arc<ChannelEntry>> {
        self.0.indices.orphan.entries()
    }

    /// The state of the store, as in the control API.
    pub fn state(&self) -> StoreState {
        StoreState::clone(&self.0.state.load())
    }

    /// Cancelled when the disk failed during a change. No later change is accepted; the broker must restart to find out
    /// what is stored.
    pub fn failed(&self) -> CancellationToken {
        self.0.failed.clone()
    }

    /// The first failure of the disk.
    pub fn failure(&self) -> FirstFailure {
        self.0.failure.clone()
    }

    /// The store's files at this moment, to be copied: for each its name, the open file and the length of its valid
    /// part. Later changes write to other files, or behind that part.
    ///
    /// Blocks for as long as a change takes.
    pub fn files(&self) -> Result<Vec<(&'static str, std::fs::File, u64)>, OpenError> {
        self.writer().disk.files()
    }

    /// Replaces the set. A channel that is missing from it becomes an orphan; an orphan that is in it is the same
    /// channel again, with the same id. A set with a deleted UID is refused as a whole: its author has not seen the
    /// deletion yet, or wants to restore a channel that cannot come back. Applying a part would hide that.
    ///
    /// Blocks on the disk until the change is stored, and while another change is in progress.
    pub fn sync(&self, channels: Vec<ChannelConfig>) -> Result<Changes, ApplyError> {
        self.change(|indices, writer, now| plan::sync(indices, &writer.facts, channels, now))
            .map(|plan| plan.outcome())
    }

    /// Replaces the set by channels from manifests, each of which has the first UID of its name. If that UID was
    /// deleted, the manifest creates another channel, new and empty.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn sync_manifests(&self, mut channels: Vec<ChannelConfig>) -> Result<Changes, ApplyError> {
        let mut recreated = Vec::new();
        let plan = self.change(|indices, writer, now| {
            recreated = succession::give_uids(indices, &writer.facts, &mut channels);
            plan::sync(indices, &writer.facts, channels, now)
        })?;
        let back = plan.brought_back();
        if !back.is_empty() {
            let (channels, names) = (back.len(), some_of(&back));
            tracing::info!(channels, "manifests restored orphans, with their messages: {names}");
        }
        for channel in recreated {
            tracing::info!(
                channel,
                "the channel was deleted before; its manifest creates a new one, with another UID and no messages"
            );
        }
        Ok(plan.outcome())
    }

    /// Adds or changes one channel, or returns an orphan to the set.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn put(&self, channel: ChannelConfig) -> Result<Changes, ApplyError> {
        self.change(|indices, writer, _| plan::put(indices, &writer.facts, channel))
            .map(|plan| plan.outcome())
    }

    /// Deletes a channel or an orphan permanently, and returns it. Its UID is remembered even if no channel had it,
    /// because a PUT of it may still be under way.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn remove(&self, uid: Uuid) -> Result<Option<Arc<ChannelEntry>>, ApplyError> {
        self.change(|indices, writer, _| Ok(plan::remove(indices, &writer.facts, uid)))
            .map(|plan| plan.removed())
    }

    /// Adds lost channels as orphans: the log has messages of them, but the store does not contain them.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn adopt(&self, orphans: Vec<ChannelEntry>) -> Result<(), ApplyError> {
        if !orphans.is_empty() {
            self.change(|_, _, _| Ok(plan::adopt(orphans)))?;
        }
        Ok(())
    }

    /// Completes deletions that the log has recorded, given by id and UID: removes the channel or orphan if it is
    /// still there, and remembers its UID.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn complete(&self, deletions: &[(ChannelId, Uuid)]) -> Result<(), ApplyError> {
        self.change(|indices, writer, _| Ok(plan::complete(indices, &writer.facts, deletions))).map(|_| ())
    }

    /// How many more deletions can be remembered before the oldest is forgotten.
    pub fn deletions_room(&self) -> usize {
        self.writer().facts.deleted.room()
    }

    /// Decides, persists and publishes one change.
    fn change(
        &self,
        decide: impl FnOnce(&Indices, &Writer, Millis) -> Result<plan::Plan, ApplyError>,
    ) -> Result<plan::Plan, ApplyError> {
        let Inner { indices, state, times, failed, .. } = &*self.0;
        let mut writer = self.writer();
        if failed.is_cancelled() {
            return Err(ApplyError::Failed);
        }
        let plan = decide(indices, &writer, times.wall())?;
        writer.commit(indices, &plan)?;
        indices.show(&plan.steps);
        state.store(Arc::new(writer.state()));
        writer.tidy(indices);
        Ok(plan)
    }

    #[cfg(test)]
    pub(crate) fn make_snapshot_due(&self) {
        self.writer().disk.make_snapshot_due();
    }

    /// A panic with the mutex locked cannot leave the writer inconsistent with the disk: an entry of the journal is
    /// written in one piece, and memory is updated after it.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
