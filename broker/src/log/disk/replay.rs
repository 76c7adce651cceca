//! Replay of earlier owners' records for a new owner: from the indexes, from the heads that the survey kept, or else
//! from the segments.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    path::Path,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;

use super::{
    DiskLog, LogError, Segment,
    heads::{Heads, HeadsError, SegmentExtent},
    index, is_key_alone,
    place::SegmentId,
    readers::{Reading, failed},
    recovery::KeptHeads,
    segment::SegmentFile,
    storage::{Storage, StorageFile},
};
use crate::log::{Log, ReplayVisitor, Replayed};

/// Number of segments whose heads are loaded while another one is replayed: the disk is faster than the replay.
const AHEAD: usize = 2;

/// The records that are not replayed yet, oldest segment first.
pub(super) struct Replay {
    /// The heads that the survey kept.
    kept: BTreeMap<u64, KeptHeads>,
    /// Segments that are not being loaded yet.
    pending: VecDeque<SegmentId>,
    coming: VecDeque<(SegmentId, Arrival)>,
}

type Arrival = oneshot::Receiver<Result<ArrivedHeads, LogError>>;

/// The heads of a loaded segment.
struct ArrivedHeads {
    heads: Heads,
    /// Whether they come from its index.
    is_indexed: bool,
}

impl Replay {
    /// A replay of this number of older segments, and of these segments.
    pub(super) fn of(older: u32, own: impl Iterator<Item = u64>, kept: BTreeMap<u64, KeptHeads>) -> Self {
        let pending = (0..older).map(SegmentId::Older).chain(own.map(SegmentId::Own)).collect();
        Self { kept, pending, coming: VecDeque::new() }
    }

    /// Whether all records were replayed.
    pub(super) fn is_over(&self) -> bool {
        self.pending.is_empty() && self.coming.is_empty()
    }
}

impl<S: Storage> DiskLog<S> {
    /// Replays the heads of one segment.
    pub(super) fn poll_segment(
        &mut self,
        visit: &mut ReplayVisitor<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Replayed, LogError>> {
        if self.poisoned {
            return Poll::Ready(Err(self.failure()));
        }
        while self.replay.coming.len() <= AHEAD
            && let Some(segment) = self.replay.pending.pop_front()
        {
            let arrival = self.begin_segment(segment);
            self.replay.coming.push_back((segment, arrival));
        }
        let Some((segment, arrival)) = self.replay.coming.front_mut() else {
            return Poll::Ready(Ok(Replayed::All));
        };
        let segment = *segment;
        let arrived = ready!(Pin::new(arrival).poll(context)).unwrap_or(Err(LogError::Poisoned));
        self.replay.coming.pop_front();
        let visited = arrived.and_then(|come| self.visit(segment, come, visit));
        if let Err(error) = visited {
            self.poison_by(error);
            return Poll::Ready(Err(self.failure()));
        }
        if self.replay.is_over() {
            self.index_sealed();
        }
        Poll::Ready(Ok(Replayed::Part))
    }

    fn visit(
        &mut self,
        segment: SegmentId,
        come: ArrivedHeads,
        visit: &mut ReplayVisitor<'_>,
    ) -> Result<(), LogError> {
        let ArrivedHeads { heads, is_indexed } = come;
        if let SegmentId::Own(epoch) = segment {
            let segment = self.segments.get_mut(&epoch).expect("a segment is in use until it was replayed");
            segment.is_indexed = is_indexed;
            segment.live += heads.needed;
            self.live_bytes += heads.needed;
        }
        let mut keys = 0;
        let visited = heads.visit(segment, &mut |position, head| {
            keys += u64::from(head.record.key().is_some() && !is_key_alone(&head.record));
            visit(position, head);
        });
        if let SegmentId::Own(epoch) = segment
            && let Some(segment) = self.segments.get_mut(&epoch)
        {
            segment.keys += keys;
        }
        let (storage, file) = self.place_of(segment);
        visited.map_err(|error| error_of(&file, storage.path(), error))
    }

    fn begin_segment(&mut self, segment: SegmentId) -> Arrival {
        let (answer, arrival) = oneshot::channel();
        let extent = self.extent_of(segment);
        let kept = if let SegmentId::Own(epoch) = segment { self.replay.kept.remove(&epoch) } else { None };
        if let Some(KeptHeads { heads, .. }) = kept.filter(|kept| kept.next_frame == extent.next_frame) {
            let _ = answer.send(Ok(ArrivedHeads { heads, is_indexed: false }));
            return arrival;
        }
        let (storage, file) = self.place_of(segment);
        let (storage, reading) = (storage.clone(), Reading::of(&file));
        self.readers.give(move || {
            let come = match index::read(&storage, &reading.name, &extent) {
                Some(heads) => Ok(ArrivedHeads { heads, is_indexed: true }),
                None => {
                    let epoch = extent.head.epoch;
                    let partial = |offset| reading.warn_of_partial(storage.path(), epoch, offset);
                    Heads::of(&reading, &extent, partial)
                        .map(|heads| ArrivedHeads { heads, is_indexed: false })
                }
            };
            let come = come.map_err(|error| error_of(&reading, storage.path(), error));
            drop(reading);
            // The caller may have given up.
            let _ = answer.send(come);
        });
        arrival
    }

    /// The valid part of a segment of this log or of an older one.
    pub(super) fn extent_of(&self, segment: SegmentId) -> SegmentExtent {
        match segment {
            SegmentId::Own(epoch) => self.extent(epoch),
            SegmentId::Older(index) => self.older.segment(index).extent.clone(),
        }
    }

    /// The valid part of a segment, up to its last written frame.
    pub(super) fn extent(&self, epoch: u64) -> SegmentExtent {
        let Segment { head, end, .. } = &self.segments[&epoch];
        let next = self.segments.range(epoch + 1..).next();
        let next_frame = next.map_or(self.next_frame, |(_, next)| next.head.first_frame);
        SegmentExtent { head: *head, next_frame, end: *end }
    }
}

fn error_of<F: StorageFile>(segment: &SegmentFile<F>, folder: &Path, error: HeadsError) -> LogError {
    let file = folder.join(&segment.name);
    match error {
        HeadsError::Io(error) => failed(segment, folder, error),
        HeadsError::Damaged(offset) => LogError::Damaged { file, offset },
        HeadsError::Record(offset, source) => LogError::Record { file, offset, source },
    }
}
