//! Writing the indexes of sealed segments. A thread reads each segment again for this, so that commits are not delayed
//! and damage to the segment is noticed.

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

/// A segment is indexed when this number of segments was sealed after it. If receivers keep up, it is freed before
/// that, and an index would be wasted. A start reads at most one segment more because of this.
const SEALED_AFTER: usize = 1;

struct Job<F> {
    segment: Reading<F>,
    extent: SegmentExtent,
}

/// The indexing thread. It ends with the log, after the current index.
pub(super) struct Indexer<F> {
    // Unbounded, because there is at most one job per segment.
    jobs: Sender<Job<F>>,
    ending: Arc<AtomicBool>,
    /// Dropped after the sender of its jobs.
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
                // Reads of the damaged part will fail; this warns the administrator earlier.
                tracing::error!(file = %file.display(), %error, "a segment of the log is damaged");
                return;
            }
        };
        if let Err(error) = index::write(storage, &segment.name, extent, &heads) {
            tracing::warn!(file = %file.display(), %error, "cannot write the index of a segment; the next start reads the whole segment");
        }
    }
}

impl<S: Storage> DiskLog<S> {
    /// Starts to index those sealed segments that will probably stay for a while.
    pub(super) fn index_sealed(&mut self) {
        if self.poisoned || !self.replay.is_over() {
            return;
        }
        let sealed: Vec<u64> =
            self.segments.keys().copied().take_while(|epoch| self.is_sealed(*epoch)).collect();
        let old = &sealed[..sealed.len().saturating_sub(SEALED_AFTER)];
        // Segments at the start of the log that nobody needs are freed soon.
        let staying = old.iter().skip_while(|epoch| self.segments[*epoch].live == 0);
        let without: Vec<u64> = staying.copied().filter(|epoch| !self.segments[epoch].is_indexed).collect();
        for epoch in without {
            let extent = self.extent(epoch);
            let Some(segment) = self.segments.get_mut(&epoch) else { continue };
            segment.is_indexed = true;
            // If the thread is gone, the index is not needed any more.
            let _ = self.indexer.jobs.send(Job { segment: Reading::of(&segment.file), extent });
        }
    }
}
