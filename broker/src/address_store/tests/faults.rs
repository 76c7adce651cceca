//! A disk that fails during a change.

use std::{
    fs::File,
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use rustix::io::Errno;

use super::{super::journal::JournalFile, *};
use crate::{files::durable, log::disk::storage::Guard};

/// The faults of the disk.
#[derive(Default)]
struct Faults {
    half_of_each_write: AtomicBool,
    write: AtomicBool,
    sync: AtomicBool,
    truncate: AtomicBool,
}

struct Faulty(File, Arc<Faults>);

impl JournalFile for Faulty {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.half_of_each_write.load(Relaxed) {
            JournalFile::append(&mut self.0, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.1.write.load(Relaxed) {
            return Err(Errno::IO.into());
        }
        JournalFile::append(&mut self.0, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.1.sync.load(Relaxed) { Err(io::ErrorKind::Other.into()) } else { self.0.sync() }
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        if self.1.truncate.load(Relaxed) { Err(io::ErrorKind::Other.into()) } else { self.0.truncate(bytes) }
    }
}

impl AddressStore {
    /// Fills the disk: later changes find no room.
    pub(crate) fn fill_disk(&self) {
        let faults = Arc::<Faults>::default();
        faults.half_of_each_write.store(true, Relaxed);
        self.begin().unwrap();
        let mut writer = self.writer();
        let file = File::options().append(true).open(writer.disk.folder().join("journal")).unwrap();
        writer.disk.journal().file = Box::new(Faulty(file, faults));
    }
}

/// A store with channel `one` on a disk that can be made to fail.
fn faulty(folder: &Path) -> (AddressStore, Arc<Faults>) {
    let store = open(folder);
    store.sync(vec![config("one")]).unwrap();
    let faults = Arc::<Faults>::default();
    let file = File::options().append(true).open(folder.join("journal")).unwrap();
    store.writer().disk.journal().file = Box::new(Faulty(file, faults.clone()));
    (store, faults)
}

#[test]
fn a_full_disk_refuses_changes_and_accepts_them_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(folder.path());
    let before = store.state();
    faults.half_of_each_write.store(true, Relaxed);
    for _ in 0..3 {
        assert!(matches!(store.put(config("two")), Err(ApplyError::Full(_))));
    }
    assert!(!store.failed().is_cancelled());
    assert_eq!(store.state(), before);
    assert!(store.destination("acme/two").is_empty());
    faults.half_of_each_write.store(false, Relaxed);
    store.put(config("two")).unwrap();
    let state = store.state();
    drop(store);
    assert_eq!(open(folder.path()).state(), state);
}

#[test]
fn after_a_failed_sync_no_change_is_accepted_and_the_failed_one_is_not_visible() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(folder.path());
    let before = store.state();
    faults.sync.store(true, Relaxed);
    assert!(matches!(store.put(config("two")), Err(ApplyError::Failed)));
    faults.sync.store(false, Relaxed);
    let reason = store.failure();
    assert!(reason.reason().unwrap().contains(folder.path().join("journal").to_str().unwrap()), "{reason:?}");
    // A retry would succeed now, but the store never retries.
    assert!(store.failed().is_cancelled());
    assert!(matches!(store.put(config("three")), Err(ApplyError::Failed)));
    assert!(matches!(store.sync(vec![]), Err(ApplyError::Failed)));
    assert!(matches!(store.remove(config("one").uid), Err(ApplyError::Failed)));
    assert_eq!(store.state(), before);
    assert!(!store.destination("acme/one").is_empty() && store.destination("acme/two").is_empty());
    drop(store);
    // The restart decides: the change was written completely.
    assert!(id(&open(folder.path()), "acme/two").is_some());
}

#[test]
fn a_disk_error_is_reported_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(folder.path());
    faults.write.store(true, Relaxed);
    let error = store.put(config("two")).unwrap_err();
    assert!(matches!(error, ApplyError::NotWritten { .. }), "{error}");
    assert!(error.to_string().contains(folder.path().join("journal").to_str().unwrap()), "{error}");
    faults.write.store(false, Relaxed);
    store.put(config("two")).unwrap();
}

/// A lock whose file was removed.
struct Removed;

impl Guard for Removed {
    fn is_in_place(&self) -> io::Result<()> {
        Err(io::Error::other("the lock was removed"))
    }

    fn is_ours(&self) -> io::Result<()> {
        self.is_in_place()
    }
}

#[test]
fn a_store_that_another_broker_may_write_to_accepts_no_change_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.sync(vec![config("one")]).unwrap();
    let files = || ["journal", "snapshot"].map(|name| std::fs::read(folder.path().join(name)).ok());
    let before = files();
    store.keep(Arc::new(Removed));
    store.make_snapshot_due();
    assert!(matches!(store.put(config("two")), Err(ApplyError::Failed)));
    assert!(store.failed().is_cancelled() && files() == before);
    assert!(store.failure().reason().unwrap().contains("the lock was removed"));
}

#[test]
fn a_partial_change_that_cannot_be_removed_fails_the_store_and_is_cut_off_at_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(folder.path());
    faults.half_of_each_write.store(true, Relaxed);
    faults.truncate.store(true, Relaxed);
    assert!(matches!(store.put(config("two")), Err(ApplyError::Failed)));
    assert!(store.failed().is_cancelled());
    drop(store);
    let store = open(folder.path());
    assert!(!store.destination("acme/one").is_empty() && store.destination("acme/two").is_empty());
}

#[test]
fn without_room_for_a_snapshot_changes_continue_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    durable::simulated::fill(true);
    store.make_snapshot_due();
    store.put(config("one")).unwrap();
    durable::simulated::fill(false);
    store.put(config("two")).unwrap();
    assert!(!store.failed().is_cancelled() && !folder.path().join("snapshot").exists());
    drop(store);
    assert_eq!(open(folder.path()).channels().len(), 2);
}
