//! Reading what is not in memory: by threads, so that whoever serves never waits for a disk.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{helper::Joined, place::RecordPlace, segment::SegmentFile, storage::StorageFile};
use crate::log::{LogError, Unread, record};

/// Reads under way at once. Volumes of clouds take as long for one as for several; more than these are rarely asked for,
/// because what is read ahead answers most.
const THREADS: usize = 4;
/// What is brought into memory with a record that was not there: messages are asked for in the order in which they lie, and
/// a disk takes hardly longer for these than for the first of them.
const AHEAD_BYTES: u64 = 512 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They end with the log, after what they were given.
pub(super) struct Readers {
    // Unbounded, because nobody waits for more than one answer at a time.
    jobs: Sender<Job>,
    /// Dropped after the other end of their jobs.
    threads: Vec<Joined>,
}

impl Readers {
    /// Starts them.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel();
        let to_do = Arc::new(Mutex::new(to_do));
        // Made before its threads, so that those that were started end if another cannot be.
        let mut readers = Self { jobs, threads: Vec::new() };
        for _ in 0..THREADS {
            let to_do = to_do.clone();
            let thread = Joined::start("log-reads", move || {
                while let Some(job) = next(&to_do) {
                    job()
                }
            });
            readers.threads.push(thread?);
        }
        Ok(readers)
    }

    /// Gives one of them something to read.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        // Threads that are gone answer by dropping the job.
        let _ = self.jobs.send(Box::new(job));
    }
}

fn next(to_do: &Mutex<Receiver<Job>>) -> Option<Job> {
    to_do.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// How many read a segment: it is given back when they are done.
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<(usize, Option<Waker>)>);

impl Reads {
    fn change<T>(&self, change: impl FnOnce(&mut (usize, Option<Waker>)) -> T) -> T {
        // A count and a waker cannot be left half changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ready when nobody reads.
    pub(super) fn poll_over(&self, context: &mut Context<'_>) -> Poll<()> {
        self.change(|(count, waker)| {
            if *count == 0 {
                return Poll::Ready(());
            }
            *waker = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// A segment that is being read.
pub(super) struct Reading<F>(Arc<SegmentFile<F>>);

impl<F> Reading<F> {
    /// One more reads it.
    pub(super) fn of(file: &Arc<SegmentFile<F>>) -> Self {
        file.reads.change(|(count, _)| *count += 1);
        Self(file.clone())
    }
}

impl<F> Drop for Reading<F> {
    fn drop(&mut self) {
        let waker = self.0.reads.change(|(count, waker)| {
            *count -= 1;
            waker.take_if(|_| *count == 0)
        });
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<F> std::ops::Deref for Reading<F> {
    type Target = SegmentFile<F>;

    fn deref(&self) -> &SegmentFile<F> {
        &self.0
    }
}

/// Reads a record if all of it is in memory and what was written.
pub(super) fn read_now<F: StorageFile>(file: &SegmentFile<F>, at: RecordPlace) -> Option<Bytes> {
    let mut bytes = vec![0; at.length];
    // Whatever else it is, a reader's thread finds out.
    let is_there = file.file.read_cached_at(&mut bytes, at.offset).unwrap_or(false);
    (is_there && record::is_whole(&bytes)).then(|| bytes.into())
}

/// Reads a record, however long the disk takes.
///
/// A message's own checksum is looked at: that of the frame is over all of it, which may be a thousand times as long, and a
/// start looks at those of the last segments only.
pub(super) fn read<F: StorageFile>(file: &SegmentFile<F>, at: RecordPlace) -> Result<Bytes, Unread> {
    file.file.read_ahead(at.offset, AHEAD_BYTES.max(at.length as u64));
    let mut bytes = vec![0; at.length];
    file.file.read_at(&mut bytes, at.offset).map_err(Unread::Disk)?;
    if record::is_whole(&bytes) { Ok(bytes.into()) } else { Err(Unread::Altered) }
}

/// What a disk that cannot read something is asked for piece by piece: a block of common disks and file systems.
const PIECE_BYTES: u64 = 4096;

/// Reads bytes; zeros stand where the disk cannot read. Fails if it can read nothing of them.
pub(super) fn read_around<F: StorageFile>(
    file: &SegmentFile<F>,
    bytes: &mut [u8],
    offset: u64,
) -> io::Result<()> {
    let Err(error) = file.file.read_at(bytes, offset) else { return Ok(()) };
    let (mut at, end) = (offset, offset + bytes.len() as u64);
    let mut readable = false;
    while at < end {
        let next = ((at / PIECE_BYTES + 1) * PIECE_BYTES).min(end);
        let piece = &mut bytes[(at - offset) as usize..(next - offset) as usize];
        match file.file.read_at(piece, at) {
            Ok(()) => readable = true,
            Err(_) => piece.fill(0),
        }
        at = next;
    }
    if readable { Ok(()) } else { Err(error) }
}

pub(super) fn failed<F>(file: &SegmentFile<F>, folder: &Path, source: io::Error) -> LogError {
    LogError::Io { action: "read", file: folder.join(&file.name), source }
}
