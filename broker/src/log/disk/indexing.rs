//! Writing the indexes of sealed segments, by a thread that reads them once more: what appends and commits has nothing to do
//! with it, and whatever the disk did to a segment meanwhile is found out.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, Sender},
    },
};

use super::{
    DiskLog,
    heads::{Heads, SegmentExtent},
    helper::Joined,
    index,
    readers::Reading,
    storage::Storage,
};

/// A segment is indexed when so many were sealed after it. Where receivers keep up, it is given back before, and its index
/// would have been written for nothing; and a start reads one segment more at the most.
const SEALED_AFTER: usize = 1;

struct Job<F> {
    segment: Reading<F>,
    extent: SegmentExtent,
}

/// The thread. It ends with the log, after the index that it is at.
pub(super) struct Indexer<F> {
    // Unbounded, because there is at most one job for each segment.
    jobs: Sender<Job<F>>,
    ending: Arc<AtomicBool>,
    /// Dropped after the other end of its jobs.
    _thread: Joined,
}

impl<F: super::storage::StorageFile> Indexer<F> {
    pub(super) fn start<S: Storage<File = F>>(storage: S) -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel::<Job<F>>();
        let ending = Arc::new(AtomicBool::new(false));
        let ends = ending.clone();
        let _thread = Joined::start("log-indexes", move || {
            for job in to_do {
                if ends.load(Relaxed) {
                    return;
                }
                job.perform(&storage);
            }
        })?;
        Ok(Self { jobs, ending, _thread })
    }
}

impl<F> Drop for Indexer<F> {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
    }
}

impl<F: super::storage::StorageFile> Job<F> {
    fn perform<S: Storage<File = F>>(self, storage: &S) {
        let Self { segment, extent } = self;
        let file = storage.path().join(&segment.name);
        let partial = |offset| segment.warn_of_partial(storage.path(), extent.head.epoch, offset);
        let heads = match Heads::of(&segment, &extent, partial) {
            Ok(heads) => heads,
            Err(error) => {
                // Whoever reads there will be told; but whoever runs this wants to know before.
                tracing::error!(file = %file.display(), %error, "a segment of the log is not what was written");
                return;
            }
        };
        if let Err(error) = index::write(storage, &segment.name, extent, &heads) {
            tracing::warn!(file = %file.display(), %error, "a segment gets no index; the next start reads all of it");
        }
    }
}

impl<S: Storage> DiskLog<S> {
    /// Has those sealed segments indexed that will stay for a while.
    pub(super) fn index_sealed(&mut self) {
        if self.poisoned || !self.replay.is_over() {
            return;
        }
        let sealed: Vec<u64> =
            self.segments.keys().copied().take_while(|epoch| self.is_sealed(*epoch)).collect();
        let old = &sealed[..sealed.len().saturating_sub(SEALED_AFTER)];
        // What nobody needs at the beginning of the log is given back before long.
        let staying = old.iter().skip_while(|epoch| self.segments[*epoch].live == 0);
        let without: Vec<u64> = staying.copied().filter(|epoch| !self.segments[epoch].is_indexed).collect();
        for epoch in without {
            let extent = self.extent(epoch);
            let Some(segment) = self.segments.get_mut(&epoch) else { continue };
            segment.is_indexed = true;
            // A thread that is gone has written what it could.
            let _ = self.indexer.jobs.send(Job { segment: Reading::of(&segment.file), extent });
        }
    }
}
