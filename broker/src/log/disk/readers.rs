//! Reader threads for records that are not in memory, so that a worker thread never waits for a disk.

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

/// Number of simultaneous reads. Cloud volumes serve several in the time of one. More are rarely needed, because
/// read-ahead serves most reads.
const THREADS: usize = 4;
/// Bytes to read ahead with a record that is not in memory. Messages are read in log order, and a disk needs hardly
/// longer for these than for the first one.
const AHEAD_BYTES: u64 = 512 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// The reader threads. They end with the log, after the jobs that they have.
pub(super) struct Readers {
    // Unbounded, because no caller waits for more than one record at a time.
    jobs: Sender<Job>,
    /// Dropped after the sender of their jobs.
    threads: Vec<Joined>,
}

impl Readers {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, to_do) = mpsc::channel();
        let to_do = Arc::new(Mutex::new(to_do));
        // Created before its threads, so that the started ones end if another cannot be started.
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

    /// Gives a thread a job.
    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        // If the threads are gone, dropping the job answers its caller.
        let _ = self.jobs.send(Box::new(job));
    }
}

fn next(to_do: &Mutex<Receiver<Job>>) -> Option<Job> {
    to_do.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Counts the readers of a segment, which is freed when they have finished.
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<(usize, Option<Waker>)>);

impl Reads {
    fn change<T>(&self, change: impl FnOnce(&mut (usize, Option<Waker>)) -> T) -> T {
        // A panic cannot leave a count and a waker inconsistent.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ready when the segment has no readers.
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

/// A segment with one more reader while the value exists.
pub(super) struct Reading<F>(Arc<SegmentFile<F>>);

impl<F> Reading<F> {
    /// Adds a reader.
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

/// Reads a record if all of it is in memory and intact.
pub(super) fn read_now<F: StorageFile>(file: &SegmentFile<F>, at: RecordPlace) -> Option<Bytes> {
    let mut bytes = vec![0; at.length];
    // A reader thread finds out about any error.
    let is_there = file.file.read_cached_at(&mut bytes, at.offset).unwrap_or(false);
    (is_there && record::is_whole(&bytes)).then(|| bytes.into())
}

/// Reads a record from the disk.
///
/// Only a message's own checksum is verified. The frame's checksum covers the whole frame, which can be a thousand
/// times as long, and a start verifies only the frames of the last segments.
pub(super) fn read<F: StorageFile>(file: &SegmentFile<F>, at: RecordPlace) -> Result<Bytes, Unread> {
    file.file.read_ahead(at.offset, AHEAD_BYTES.max(at.length as u64));
    let mut bytes = vec![0; at.length];
    file.file.read_at(&mut bytes, at.offset).map_err(Unread::Disk)?;
    if record::is_whole(&bytes) { Ok(bytes.into()) } else { Err(Unread::Altered) }
}

/// The unit of reading around errors: a block of common disks and file systems.
const PIECE_BYTES: u64 = 4096;

/// Reads bytes, with zeros in the place of unreadable ones. Fails if all of them are unreadable.
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
