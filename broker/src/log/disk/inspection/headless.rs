//! Frames of a segment whose head is unreadable. The head contains the mark that identifies the segment's frames.
//! Without it, the mark is taken from the frames themselves.
//!
//! This is for inspection and salvage only, never for a start: the blocks also contain bodies of old messages, and a
//! body may imitate frames. So the mark that covers most of the segment is used, which no body can do. And the segment
//! counts only if its frames have the numbers that are missing in exactly that place.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    frame::{self, ALIGNMENT},
    recovery::{FrameRun, Survey, scan},
    segment::{HEAD_BYTES, Head, SegmentFile},
};

/// Maximum number of marks to try. The segment's own mark is found within the first few frames after the damage, and
/// each try scans the whole file.
const MARKS_MAX: usize = 16;
/// Limit of unsuccessful checksums, in lengths of the file, so that a crafted body cannot block the inspection.
const CHECKED_TIMES_MAX: usize = 64;

/// Where the segment's frames must be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Before the first, between two or after the last of the segments with heads.
    Anywhere,
    /// Between two of them, or directly after the last, where frames are known to have been on disk. Only this
    /// distinguishes a segment with a zeroed head from a freed one.
    Known,
}

/// A segment without a head.
pub(super) struct Headless {
    mark: u64,
    epoch: u64,
    frames: BTreeMap<u64, FrameRun>,
}

impl Headless {
    /// Finds the frames whose numbers are missing where an epoch is unused, with the mark that covers most of the
    /// bytes.
    pub(super) fn find<F>(bytes: &[u8], survey: &Survey<F>, fit: Fit) -> Option<Self> {
        let candidates = marks(bytes).into_iter().filter_map(|mark| {
            let mut frames = BTreeMap::new();
            scan(bytes, head(mark), &mut frames);
            epoch(&frames, survey, fit).map(|epoch| Self { mark, epoch, frames })
        });
        candidates.max_by_key(|found| found.frames.values().map(|found| found.bytes).sum::<u64>())
    }

    /// Adds the segment to those in use.
    pub(super) fn adopt<F>(self, file: SegmentFile<F>, survey: &mut Survey<F>) {
        let Self { mark, epoch, frames } = self;
        let first = frames.keys().next().copied().unwrap_or_default();
        // Start where the previous segment ends, so that frames missing in between are noticed.
        let before = survey.frames.range(..first).next_back().map(|(number, _)| number + 1);
        let is_oldest = survey.segments.range(..epoch).next().is_none();
        let first_frame = before.filter(|_| !is_oldest).unwrap_or(first);
        let log = survey.log().unwrap_or_default();
        survey.segments.insert(epoch, (Head { epoch, first_frame, log, bytes: file.bytes, mark }, file));
        survey.frames.extend(frames.into_iter().map(|(number, found)| (number, FrameRun { epoch, ..found })));
    }
}

/// A head of which only the mark is known.
fn head(mark: u64) -> Head {
    Head { epoch: 0, first_frame: 0, mark, bytes: 0, log: 0 }
}

/// The epoch of the segment from which these frames are missing, if they are missing.
fn epoch<F>(frames: &BTreeMap<u64, FrameRun>, survey: &Survey<F>, fit: Fit) -> Option<u64> {
    let (first, last) = (*frames.keys().next()?, *frames.keys().next_back()?);
    if survey.frames.range(first..=last).next().is_some() {
        return None;
    }
    let before = survey.segments.iter().rfind(|(_, (head, _))| head.first_frame <= first);
    let after = survey.segments.iter().find(|(_, (head, _))| head.first_frame > first);
    let after = after.map(|(epoch, (head, _))| (*epoch, head.first_frame));
    match (before.map(|(epoch, _)| *epoch), after) {
        (Some(before), Some((next, begins))) => (last < begins && before + 1 < next).then_some(before + 1),
        (Some(before), None) if fit == Fit::Known => {
            let end = survey.frames.last_key_value().map_or(0, |(number, found)| number + found.frames);
            (first >= end && first < survey.known_end()).then(|| before.checked_add(1)).flatten()
        }
        _ if fit == Fit::Known => None,
        (None, None) => Some(1),
        // For the oldest segment: a freed segment has old frames as well, but they do not directly precede the next
        // segment.
        (None, Some((next, begins))) => (last + 1 == begins).then(|| next.checked_sub(1)).flatten(),
        (Some(before), None) => before.checked_add(1),
    }
}

/// The marks of possible frames, by offset.
fn marks(bytes: &[u8]) -> Vec<u64> {
    let (mut marks, mut known) = (Vec::new(), BTreeSet::new());
    let (mut offset, mut rejected_bytes) = (HEAD_BYTES as usize, 0);
    while let Some(rest) = bytes.get(offset..).filter(|rest| rest.len() >= frame::HEAD_BYTES) {
        let mark = u64::from_le_bytes(std::array::from_fn(|index| rest[frame::MARK.start + index]));
        match frame::parse(rest, mark) {
            Some((head, _)) => {
                if known.insert(mark) {
                    marks.push(mark);
                }
                offset += head.frame_bytes() as usize;
            }
            None => {
                offset += ALIGNMENT as usize;
                let length = rest.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
                rejected_bytes += if length <= rest.len() { length } else { 0 };
            }
        }
        if marks.len() == MARKS_MAX || rejected_bytes > bytes.len().saturating_mul(CHECKED_TIMES_MAX) {
            break;
        }
    }
    marks
}
