//! Going on in another segment, which is there already or is being made.

use std::{
    io,
    task::{Context, Poll},
};

use super::{
    DiskLog, LogError, Segment,
    segment::{self, Head},
    spares::Taken,
    storage::Storage,
};
use crate::log::AppendError;

/// A segment in which records of the open group will lie, and which has no file yet.
pub(super) struct Awaited {
    pub(super) head: Head,
    /// Bytes of its records that are still needed.
    pub(super) live: u64,
}

impl<S: Storage> DiskLog<S> {
    /// The rest of the group goes to a new segment. Its head is written when the group is committed.
    ///
    /// If its file is being made, the group waits in memory: a segment of pushes at most, and then they are refused. What
    /// empties the log is not, however long it takes.
    pub(super) fn rotate(&mut self, reserved: bool) -> Result<(), AppendError> {
        if !reserved && !self.awaited.is_empty() {
            return Err(AppendError::Full);
        }
        // The frame in the old segment, if there is one, has the number before. The rest is known when the head is written.
        let head = Head {
            epoch: self.group.epoch() + 1,
            first_frame: self.next_frame + self.group.frames(),
            mark: 0,
            bytes: 0,
            log: 0,
        };
        match self.spares.take(reserved) {
            Taken::Spare(file) if self.awaited.is_empty() => {
                self.segments.insert(head.epoch, Segment::new(file, head, segment::HEAD_BYTES));
            }
            Taken::Spare(file) => {
                // Those that wait come first.
                self.spares.put_back(file);
                self.awaited.push_back(Awaited { head, live: 0 });
            }
            Taken::Soon => self.awaited.push_back(Awaited { head, live: 0 }),
            Taken::None => return Err(AppendError::Full),
        }
        self.group.rotate(head.epoch);
        Ok(())
    }

    /// Ready when all segments of the open group have files, or never will.
    pub(super) fn poll_awaited(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.awaited.is_empty() {
            match self.spares.poll_take(context) {
                Poll::Ready(Some(file)) => {
                    let Some(Awaited { head, live }) = self.awaited.pop_front() else { break };
                    let segment = Segment { live, ..Segment::new(file, head, segment::HEAD_BYTES) };
                    self.segments.insert(head.epoch, segment);
                }
                // The commit fails, and says why.
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Why the open group cannot be committed, if it cannot.
    pub(super) fn lacks_segment(&self) -> Result<(), LogError> {
        if self.awaited.is_empty() {
            return Ok(());
        }
        let (file, source) = (self.storage.path().to_owned(), io::ErrorKind::StorageFull.into());
        Err(LogError::Io { action: "make a segment in", file, source })
    }
}
