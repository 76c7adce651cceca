//! Giving segments back: the owner walks the oldest, copies what is still needed, and frees it.
//!
//! Segments leave from the oldest end only. A settle comes after every copy of its message, because copies are made of
//! live messages only; so as long as any copy is in the log, its settle is as well.

use super::{
    DiskLog, LogError, compaction,
    place::Place,
    segment::{self, blank},
    storage::Storage,
};
use crate::log::{GroupNumber, Log, Position};

impl<S: Storage> DiskLog<S> {
    /// Whether the oldest segment should be walked and freed: up to where the next begins.
    pub(super) fn oldest_worth_freeing(&self) -> Option<Position> {
        let mut segments = self.segments.iter();
        let (epoch, oldest) = segments.next().expect("a log always has a segment");
        let wanted = compaction::wanted(compaction::Use {
            total: self.stats().total_bytes,
            used: self.segments.values().map(|segment| segment.end - segment::HEAD_BYTES).sum(),
            live: self.live_bytes,
            oldest_live: oldest.live,
            segment: self.segment_bytes,
            room: self.active().file.bytes.saturating_sub(self.group.end())
                + self.spares.len() as u64 * self.segment_bytes,
            sealed: self.is_sealed(*epoch),
            scarce: self.spares.are_scarce(),
        });
        let (next, _) = segments.next()?;
        wanted.then(|| Place::start(*next, 0).into())
    }

    /// Whether all that will ever be in a segment is written.
    pub(super) fn is_sealed(&self, epoch: u64) -> bool {
        epoch < self.first_unwritten_epoch()
    }

    /// Frees the oldest segment, after it was walked to its end and what was copied from it is on disk.
    pub(super) fn free_oldest(&mut self, copies: GroupNumber) -> Result<(), LogError> {
        self.act(|log| {
            let oldest = log.segments.keys().next().copied();
            assert!(
                log.walked.is_some() && log.walked == oldest,
                "only a sealed segment that was walked to its end is freed"
            );
            assert!(copies <= log.durable_group, "copies are on disk before the originals go");
            let (_, segment) = log.segments.pop_first().expect("it was there a moment ago");
            log.walked = None;
            log.live_bytes -= segment.live;
            let name = segment.file.name.clone();
            blank(&segment.file)
                .and_then(|()| log.spares.give_back(&log.storage, segment.file))
                .map_err(|error| log.failed("free", &name, error))
        })
    }
}
