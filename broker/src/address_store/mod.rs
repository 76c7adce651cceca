//! The address information store: which channel belongs to a destination, and which to a source.
//!
//! Readers take no lock: each index is 256 immutable shards that are swapped on change ([`index`]). Writers queue up at
//! one mutex, and a change is decided whole ([`plan`]), persisted ([`disk`]) and only then visible ([`indices`]).
//!
//! Architecture Invariant: nothing is deleted because it is absent. A channel that a whole set lacks becomes an orphan,
//! which keeps its number, its configuration and its messages; only [`AddressStore::remove`] deletes.

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
    log::disk::storage::Guard,
};
use indices::Indices;
use writer::Writer;

/// The most channels in the set: what the architecture promises to carry at constant cost per change.
pub const CHANNELS_MAX: usize = 1_000_000;
/// The most channels and orphans together: room for one whole set to be replaced by another.
pub const CHANNELS_AND_ORPHANS_MAX: usize = 2 * CHANNELS_MAX;
/// How many deleted UIDs are remembered, the newest: a PUT that was under way when its channel was deleted is late by
/// seconds, and this many deletions take hours.
pub const DELETED_REMEMBERED_MAX: usize = 100_000;

/// Channels that a text names, before it counts the others.
const NAMED_MAX: usize = 20;

/// Names, as a text that is not too long.
pub(crate) fn some_of(names: &[String]) -> String {
    let text = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => text,
        more => format!("{text}, and {more} more"),
    }
}

/// The store. Cheap to clone; every clone is the same store.
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
    /// Reads the store in a folder and makes it ready for changes: [`Self::read`] and [`Self::begin`].
    pub fn open(folder: &Path, store_id: Uuid) -> Result<Self, OpenError> {
        let store = Self::read(folder, store_id)?;
        store.begin()?;
        Ok(store)
    }

    /// Reads the store in a folder, which may be missing, and changes nothing; `store_id` is the data folder's. No change is
    /// taken before [`Self::begin`].
    ///
    /// Blocks on the disk.
    pub fn read(folder: &Path, store_id: Uuid) -> Result<Self, OpenError> {
        let (disk, mut contents) = disk::Disk::read(folder)?;
        let indices = Indices::default();
        let writer = Writer::new(disk, &mut contents, store_id);
        // Only people read when the store was last told its channels: the wall clock must do.
        let times = TimeSource::system();
        indices.fill(contents);
        let state = ArcSwap::from_pointee(writer.state());
        let (failed, failure) = (writer.disk.failed(), writer.disk.failure());
        Ok(Self(Arc::new(Inner { indices, state, times, failed, failure, writer: Mutex::new(writer) })))
    }

    /// Which address store it is, as its files tell; none in a new one.
    pub fn id(&self) -> Option<String> {
        self.writer().disk.id()
    }

    /// Which address store it is from now on, before [`Self::begin`].
    pub fn set_id(&self, id: String) {
        self.writer().disk.set_id(id);
    }

    /// Makes ready for changes, once it is known that the log belongs to this store: it may have been put beside another one.
    ///
    /// Blocks on the disk.
    pub fn begin(&self) -> Result<(), OpenError> {
        self.writer().disk.begin()
    }

    /// From now on no change is taken once somebody else may write to the folder: two writers would undo each other's changes.
    pub fn keep(&self, guard: Arc<dyn Guard>) {
        self.writer().disk.keep(guard);
    }

    /// Whether a whole set was ever taken. Until then an address that is not found may still come: 503, not 404.
    pub fn is_programmed(&self) -> bool {
        self.0.state.load().synced_at.is_some()
    }

    /// The channels that messages to this address go into: one, or all that share the destination.
    pub fn destination(&self, address: &str) -> Vec<Arc<ChannelEntry>> {
        self.0.indices.destination.get_all(address)
    }

    /// The channel that messages asked for at this address come from.
    pub fn source(&self, address: &str) -> Option<Arc<ChannelEntry>> {
        self.0.indices.source.get(address)
    }

    /// The channel of the set with this namespace and name.
    pub fn by_name(&self, namespace: &str, name: &str) -> Option<Arc<ChannelEntry>> {
        self.0.indices.name.get((namespace, name))
    }

    /// The channel of the set, or the orphan, with this UID.
    pub fn by_uid(&self, uid: Uuid) -> Option<Arc<ChannelEntry>> {
        self.0.indices.uid.get(uid)
    }

    /// The channel of the set, or the orphan, with this number.
    pub fn by_number(&self, number: u32) -> Option<Arc<ChannelEntry>> {
        self.0.indices.number.get(number)
    }

    /// Whether a channel of the set or an orphan has this number.
    pub fn is_known(&self, number: u32) -> bool {
        self.by_number(number).is_some()
    }

    /// Whether a channel with this UID was deleted for ever.
    pub fn is_deleted(&self, uid: Uuid) -> bool {
        self.writer().facts.deleted.contains(uid)
    }

    /// Every channel of the set, in no order.
    pub fn channels(&self) -> Vec<Arc<ChannelEntry>> {
        self.0.indices.name.entries()
    }

    /// Every channel that the set no longer has and that keeps its messages, in no order.
    pub fn orphans(&self) -> Vec<Arc<ChannelEntry>> {
        self.0.indices.orphan.entries()
    }

    /// What the store holds, as the control API tells it.
    pub fn state(&self) -> StoreState {
        StoreState::clone(&self.0.state.load())
    }

    /// Cancelled when the disk failed under a change: no change is taken any more, and the broker has to restart to find
    /// out what was stored.
    pub fn failed(&self) -> CancellationToken {
        self.0.failed.clone()
    }

    /// Why the disk failed, if it did.
    pub fn failure(&self) -> FirstFailure {
        self.0.failure.clone()
    }

    /// The store's files as they are at this moment, to be copied: each by its name, with how many of its bytes count.
    /// Changes that are made meanwhile go to other files, or behind those bytes.
    ///
    /// Blocks for as long as a change takes.
    pub fn files(&self) -> Result<Vec<(&'static str, std::fs::File, u64)>, OpenError> {
        self.writer().disk.files()
    }

    /// Replaces the set. A channel that it lacks becomes an orphan; an orphan that it has is the same channel again,
    /// under the same number. A set that names a deleted UID is refused whole: whoever made it has not seen the delete
    /// yet, or wants to bring back what cannot come back, and must be told rather than half obeyed.
    ///
    /// Blocks on the disk until the change is stored, and for as long as another change takes.
    pub fn sync(&self, channels: Vec<ChannelConfig>) -> Result<Changes, ApplyError> {
        self.change(|indices, writer, now| plan::sync(indices, &writer.facts, channels, now))
            .map(|plan| plan.outcome())
    }

    /// Replaces the set by channels from manifests, each of which has the first UID of its name: one that was deleted is another
    /// channel now, new and empty.
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
            tracing::info!(channels, "manifests brought orphans back, with what is stored of them: {names}");
        }
        for channel in recreated {
            tracing::info!(
                channel,
                "the channel was deleted: its manifest makes a new one, with another UID and no messages"
            );
        }
        Ok(plan.outcome())
    }

    /// Takes one channel: a new one, a change of one, or an orphan back into the set.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn put(&self, channel: ChannelConfig) -> Result<Changes, ApplyError> {
        self.change(|indices, writer, _| plan::put(indices, &writer.facts, channel))
            .map(|plan| plan.outcome())
    }

    /// Deletes a channel or an orphan for ever and tells which it was. Its UID is remembered even if it was never seen,
    /// because a PUT of it may still be under way.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn remove(&self, uid: Uuid) -> Result<Option<Arc<ChannelEntry>>, ApplyError> {
        self.change(|indices, writer, _| Ok(plan::remove(indices, &writer.facts, uid)))
            .map(|plan| plan.removed())
    }

    /// Takes channels whose messages the log has and of which nothing is known here, as orphans; and gives no number below
    /// `next_number` to another, because the log has said something of it.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn adopt(&self, orphans: Vec<ChannelEntry>, next_number: u32) -> Result<(), ApplyError> {
        self.writer().facts.skip_to(next_number);
        if !orphans.is_empty() {
            self.change(|_, writer, _| Ok(plan::adopt(&writer.facts, orphans)))?;
        }
        Ok(())
    }

    /// Completes deletions that the log knows of, by numbers and UIDs: a channel or an orphan that is still here goes, and its UID
    /// is remembered.
    ///
    /// Blocks as [`Self::sync`] does.
    pub fn complete(&self, deletions: &[(u32, Uuid)]) -> Result<(), ApplyError> {
        self.change(|indices, writer, _| Ok(plan::complete(indices, &writer.facts, deletions))).map(|_| ())
    }

    /// How many more deletions can be remembered before the oldest is forgotten.
    pub fn deletions_left(&self) -> usize {
        self.writer().facts.deleted.left()
    }

    /// Decides, persists and shows one change.
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

    /// Makes the next change be followed by a snapshot.
    #[cfg(test)]
    pub(crate) fn make_snapshot_due(&self) {
        self.writer().disk.make_snapshot_due();
    }

    /// A panic while the mutex was held cannot leave the writer half changed in a way that the disk does not know: the
    /// journal is written in one piece, and what is in memory follows it.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
