//! Committing groups: what is to be written where, and what is known when it was.

use std::sync::Arc;

use super::{
    DiskLog, frame,
    group::OpenFrame,
    storage::Storage,
    work::{Done, Step, Work},
};
use crate::log::{GroupNumber, LogError, Sync};

/// The group that is being written.
pub(super) struct InFlight {
    number: GroupNumber,
    /// Readable until they are on disk.
    frames: Vec<Arc<OpenFrame>>,
    /// The segment in which it began.
    first_epoch: u64,
    /// Frames before this are on disk when it is.
    synced: u64,
    /// Whether the group is on disk then, or written only.
    durable: bool,
}

impl<S: Storage> DiskLog<S> {
    /// Begins to commit the open group.
    pub(super) fn begin_commit(&mut self, sync: Sync) -> GroupNumber {
        assert!(self.in_flight.is_none(), "one group at a time is written");
        self.newest_group = self.newest_group.next();
        let number = self.newest_group;
        let planned = if self.poisoned { Err(LogError::Poisoned) } else { self.plan(number, sync) };
        match planned {
            Ok(work) => {
                let done = work.perform(self.storage.path());
                self.done(done);
            }
            Err(error) => self.told(number, Err(error)),
        }
        number
    }

    /// The open group becomes frames in their places.
    fn plan(&mut self, number: GroupNumber, sync: Sync) -> Result<Work<S::File>, LogError> {
        let (mut steps, mut frames) = (Vec::new(), Vec::new());
        let first_epoch = self.group.first_epoch();
        let mut last = self.segments[&first_epoch].file.clone();
        let mut synced = self.synced;
        let mut end = 0;
        for mut frame in self.group.take() {
            if frame.rotated {
                steps.push(Step::Finish(last));
                synced = self.next_frame;
                let mark = self.storage.random();
                let segment = self.segments.get_mut(&frame.epoch).expect("a segment with a frame is in use");
                let mark = mark.map_err(|source| LogError::Io {
                    action: "begin",
                    file: self.storage.path().join(&segment.file.name),
                    source,
                })?;
                segment.head.mark = mark;
                steps.push(Step::Begin(segment.file.clone(), segment.head));
            }
            let segment = &self.segments[&frame.epoch];
            last = segment.file.clone();
            end = frame.offset;
            if frame.is_empty() {
                self.group.reuse(frame);
                continue;
            }
            frame::seal(&mut frame.bytes, segment.head.mark, self.next_frame, synced);
            self.next_frame += 1;
            end += frame.bytes.len() as u64;
            let frame = Arc::new(frame);
            frames.push(frame.clone());
            steps.push(Step::Write(last.clone(), frame));
        }
        self.group.begin(end);
        let durable = sync == Sync::Now;
        let unsynced = synced < self.next_frame;
        if durable {
            synced = self.next_frame;
        }
        self.in_flight = Some(InFlight { number, frames, first_epoch, synced, durable });
        Ok(Work { number, steps, sync: Some(last).filter(|_| durable && unsynced) })
    }

    /// A group was written, or could not be.
    pub(super) fn done(&mut self, done: Done) {
        let Done { number, outcome } = done;
        let Some(group) = self.in_flight.take_if(|group| group.number == number) else { return };
        if let Err(error) = outcome {
            return self.told(number, Err(error));
        }
        self.synced = group.synced;
        if group.durable {
            self.durable_group = number;
        }
        for frame in group.frames {
            let segment = self.segments.get_mut(&frame.epoch).expect("a segment with a frame is in use");
            segment.end = frame.offset + frame.bytes.len() as u64;
            // Whoever wrote it has let go of it.
            if let Some(frame) = Arc::into_inner(frame) {
                self.group.reuse(frame);
            }
        }
        self.told(number, Ok(()));
    }

    /// The owner is told how a group went. After a failure nothing is written any more.
    fn told(&mut self, number: GroupNumber, outcome: Result<(), LogError>) {
        self.poisoned |= outcome.is_err();
        self.completed.push_back((number, outcome));
    }

    /// All frames before this are on disk, or will be when the group in flight is.
    pub(super) fn synced_soon(&self) -> u64 {
        self.in_flight.as_ref().map_or(self.synced, |group| group.synced)
    }

    /// A record's bytes in the group that is being written.
    pub(super) fn read_in_flight(&self, epoch: u64, offset: u64, length: usize) -> Option<&[u8]> {
        self.in_flight.as_ref()?.frames.iter().find_map(|frame| frame.read(epoch, offset, length))
    }

    /// The oldest segment that is still being written to.
    pub(super) fn first_unwritten_epoch(&self) -> u64 {
        let in_flight = self.in_flight.as_ref().map(|group| group.first_epoch);
        in_flight.unwrap_or_else(|| self.group.first_epoch())
    }
}
