//! Frames of a segment whose head cannot be read. The head tells the mark by which the segment's frames are known; without
//! it, the mark is taken from the frames themselves.
//!
//! That is for salvage only, never for a start: the blocks also hold the bodies of old messages, and a body may have been
//! made to look like frames. So the mark counts under which most of the segment is frames, which no body can be; and the
//! segment counts only if its frames have the numbers that are missing just there.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    frame::{self, ALIGNMENT},
    recovery::{FrameRun, Survey, scan},
    segment::{HEAD_BYTES, Head, SegmentFile},
};

/// Marks that are tried: a segment's own is found within the first few frames after the damage, and each try goes through
/// the whole file.
const MARKS_MAX: usize = 16;
/// How often the file may be gone through for checksums in vain, so that a body that was made for it holds nobody up.
const CHECKED_TIMES_MAX: usize = 64;

/// Where a segment's frames must be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Before the first, between two or after the last of the segments that have heads.
    Anywhere,
    /// Between two of them, or just behind the last, where frames are known to have been on disk: nothing else tells a segment of
    /// zeros in the place of its head from one that was given back.
    Known,
}

/// What was found in a segment without a head.
pub(super) struct Headless {
    mark: u64,
    epoch: u64,
    frames: BTreeMap<u64, FrameRun>,
}

impl Headless {
    /// The frames of some bytes that have the numbers that are missing where a segment's epoch is free; of the mark under
    /// which most of the bytes are such frames.
    pub(super) fn find<F>(bytes: &[u8], survey: &Survey<F>, fit: Fit) -> Option<Self> {
        let candidates = marks(bytes).into_iter().filter_map(|mark| {
            let mut frames = BTreeMap::new();
            scan(bytes, head(mark), &mut frames);
            epoch(&frames, survey, fit).map(|epoch| Self { mark, epoch, frames })
        });
        candidates.max_by_key(|found| found.frames.values().map(|found| found.bytes).sum::<u64>())
    }

    /// Takes the segment for one in use.
    pub(super) fn adopt<F>(self, file: SegmentFile<F>, survey: &mut Survey<F>) {
        let Self { mark, epoch, frames } = self;
        let first = frames.keys().next().copied().unwrap_or_default();
        // From where the segment before ends, so that what is missing in between is missed.
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

/// The epoch of the segment that these frames are missing from; none if they are not missing.
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
            (first >= end && first < survey.known()).then(|| before.checked_add(1)).flatten()
        }
        _ if fit == Fit::Known => None,
        (None, None) => Some(1),
        // The oldest: a segment that was given back has old frames as well, but they do not lead up to the next.
        (None, Some((next, begins))) => (last + 1 == begins).then(|| next.checked_sub(1)).flatten(),
        (Some(before), None) => before.checked_add(1),
    }
}

/// The marks of what looks like frames, in the order of the places.
fn marks(bytes: &[u8]) -> Vec<u64> {
    let (mut marks, mut known) = (Vec::new(), BTreeSet::new());
    let (mut offset, mut in_vain) = (HEAD_BYTES as usize, 0);
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
                in_vain += if length <= rest.len() { length } else { 0 };
            }
        }
        if marks.len() == MARKS_MAX || in_vain > bytes.len().saturating_mul(CHECKED_TIMES_MAX) {
            break;
        }
    }
    marks
}
