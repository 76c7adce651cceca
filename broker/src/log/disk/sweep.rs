//! Sweep: finding the whole frames of several segments at once. Each byte is read once and verified, and the heads of
//! the records are kept for the replay that follows.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::{
    frame,
    heads::Heads,
    recovery::FrameRun,
    segment::{Head, SegmentFile},
    storage::StorageFile,
    window::each_frame,
};

/// Maximum number of segments to read at once: more bring no gain, not even on a remote volume.
const THREADS_MAX: usize = 8;
/// Limit of all heads kept in memory: enough for 4 GB of messages of 1 KiB. The rest is read again.
const KEPT_BYTES_MAX: u64 = 256 << 20;

/// The result of sweeping a segment.
pub(super) struct SweptSegment {
    /// Its frames in order, by number.
    pub(super) frames: Vec<(u64, FrameRun)>,
    /// The heads of all its records. Nothing if the limit is exceeded, or a record cannot be decoded.
    pub(super) heads: Option<Heads>,
    /// Ranges of frames that are not whole.
    pub(super) traces: Vec<Range<u64>>,
    /// Numbers and offsets of partial frames: only contents of messages are damaged or unreadable.
    pub(super) partial: Vec<(u64, u64)>,
}

/// Sweeps these segments; the results are by epoch. An error names the first unreadable segment.
pub(super) fn sweep<F: StorageFile>(
    segments: &[(&Head, &SegmentFile<F>)],
) -> Result<BTreeMap<u64, SweptSegment>, (String, io::Error)> {
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(2, THREADS_MAX);
    let (next, kept_bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
    let work = || {
        let mut swept = Vec::new();
        while let Some((head, segment)) = segments.get(next.fetch_add(1, Relaxed)) {
            let found = sweep_one(segment, head, &kept_bytes).map_err(|error| (segment.name.clone(), error));
            swept.push(found.map(|found| (head.epoch, found)));
        }
        swept
    };
    let swept: Vec<_> = thread::scope(|scope| {
        // The current thread alone is enough if the system starts no others.
        let spawn = |_| thread::Builder::new().name("log-sweep".into()).spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.min(segments.len())).map_while(spawn).collect();
        let mine = work();
        let others = others
            .into_iter()
            .flat_map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        mine.into_iter().chain(others).collect()
    });
    swept.into_iter().collect()
}

fn sweep_one<F: StorageFile>(
    segment: &SegmentFile<F>,
    head: &Head,
    kept_bytes: &AtomicU64,
) -> io::Result<SweptSegment> {
    let mut frames = Vec::new();
    let (mut heads, mut partial) = (Some(Heads::default()), Vec::new());
    let traces = each_frame(segment, head.mark, |offset, found, records, is_whole| {
        let Head { epoch, first_frame, .. } = *head;
        if found.number < first_frame {
            // An unfinished copy of the tail from an interrupted start. It is void, and the original frame exists.
            return;
        }
        partial.extend((!is_whole).then_some((found.number, offset)));
        let (bytes, synced) = (found.frame_bytes(), found.synced);
        frames.push((found.number, FrameRun { epoch, offset, bytes, synced, frames: 1 }));
        let first_record = offset + frame::HEAD_BYTES as u64;
        heads = heads.take().and_then(|mut heads| {
            let before = heads.bytes.len();
            heads.add(first_record, records).ok()?;
            let added = (heads.bytes.len() - before) as u64;
            let kept = kept_bytes.fetch_add(added, Relaxed) + added;
            (kept <= KEPT_BYTES_MAX).then_some(heads)
        });
    })?;
    Ok(SweptSegment { frames, heads, traces, partial })
}
