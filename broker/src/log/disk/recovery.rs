//! Recovery: finding the content of a log's files after a crash or damage.
//!
//! Frames are numbered without gaps across all segments. Each frame states up to which number all frames were known to
//! be on disk when it was written. So a missing number that a later frame knows to be on disk means damage, and the log
//! is refused. The same holds for a log that ends before the last frame that the file [`synced`] knows to be on disk.
//! Any other missing number is the torn tail of a power cut, where the sectors of unsynced writes reach the disk in any
//! order. There the log is cut off, even if whole frames follow.

use std::{collections::BTreeMap, io, ops::Range};

use super::{
    OpenError,
    damage::{self, Damage, DamageKind, TornTail},
    frame::{self, ALIGNMENT},
    frame_search::Indexes,
    heads::Heads,
    index,
    segment::{self, FIELDS, FileKind, HEAD_BYTES, Head, SegmentFile},
    storage::{Storage, StorageFile},
    synced::{self, SyncPointState},
};
use crate::files::os_error;

/// A whole frame, or a run of frames that an index covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameRun {
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// Frames with lower numbers were on disk when this was written.
    pub(super) synced: u64,
    /// The number of frames, numbered without gaps.
    pub(super) frames: u64,
}

/// A file that prevents a log from being opened.
pub(super) struct RejectedFile<F> {
    pub(super) file: SegmentFile<F>,
    pub(super) reason: RejectionReason,
}

/// Why a file was rejected.
pub(super) enum RejectionReason {
    /// Another version wrote it.
    Version(u32),
    /// Its head is unreadable, and it is not empty.
    Headless,
    /// The named file is the same segment.
    Duplicate(String),
    /// It belongs to another log.
    Foreign,
    /// Another broker wrote it at the same time.
    SecondWriter,
}

/// The content of a log's files.
pub(super) struct Survey<F> {
    /// Segments in use, by epoch.
    pub(super) segments: BTreeMap<u64, (Head, SegmentFile<F>)>,
    /// Spare segments.
    pub(super) spares: Vec<SegmentFile<F>>,
    /// An unused file number.
    pub(super) next_file: u64,
    /// Names of empty files that are not usable.
    pub(super) unusable: Vec<String>,
    /// Files that prevent the log from being opened.
    pub(super) rejected: Vec<RejectedFile<F>>,
    /// Entries that are not files or cannot be opened, and the errors.
    pub(super) refused: Vec<(String, io::Error)>,
    pub(super) frames: BTreeMap<u64, FrameRun>,
    /// The heads of all records in the segments that were read, within the limit of memory.
    pub(super) heads: BTreeMap<u64, KeptHeads>,
    /// Ranges of frames that are not whole, in the segments that were read.
    pub(super) traces: BTreeMap<u64, Vec<Range<u64>>>,
    /// Partial frames, by number, with their segment and offset: only contents of messages are damaged or unreadable;
    /// everything else is intact.
    pub(super) partial: BTreeMap<u64, (u64, u64)>,
    /// The highest claim in dropped frames: frames with lower numbers were on disk.
    pub(super) claimed: u64,
    /// The content of the file `synced`.
    pub(super) sync_point: SyncPointState,
    /// Damage of files whose frames count nevertheless.
    pub(super) wrong: Vec<Damage>,
}

/// The heads of all records in a segment.
pub(super) struct KeptHeads {
    pub(super) heads: Heads,
    /// The number after its last frame.
    pub(super) next_frame: u64,
}

/// Reads the segments of a log, or their indexes. Changes nothing, so that a refused log stays unchanged.
pub(super) fn survey<S: Storage>(storage: &S) -> Result<Survey<S::File>, OpenError> {
    let mut survey = list(storage)?;
    if let Some((name, error)) = survey.refused.drain(..).next() {
        return Err(OpenError::io(storage.path(), &name, error));
    }
    if let Some(rejected) = survey.rejected.drain(..).next() {
        return Err(rejected.refused(storage));
    }
    survey.find_frames(storage, Indexes::Believed)?;
    let damage = damage::of(&survey);
    if let Some(damage) = damage.iter().find(|damage| !damage.what.is_repaired_by_start()) {
        return Err(OpenError::of_damage(storage.path(), damage));
    }
    for Damage { file, what, .. } in damage {
        let file = storage.path().join(file);
        tracing::warn!(
            file = %file.display(),
            "{what}: it is unknown whether the log was longer before. It continues from the end that was found, and the file is \
             recreated"
        );
    }
    for (epoch, offset) in survey.partial.values() {
        survey.segments[epoch].1.warn_of_partial(storage.path(), *epoch, *offset);
    }
    Ok(survey)
}

/// Opens and classifies all files of a log.
pub(super) fn list<S: Storage>(storage: &S) -> Result<Survey<S::File>, OpenError> {
    let failed = |what: &str, source: io::Error| OpenError::io(storage.path(), what, source);
    let mut survey = Survey {
        segments: BTreeMap::new(),
        spares: Vec::new(),
        next_file: 1,
        unusable: Vec::new(),
        rejected: Vec::new(),
        refused: Vec::new(),
        frames: BTreeMap::new(),
        heads: BTreeMap::new(),
        traces: BTreeMap::new(),
        partial: BTreeMap::new(),
        claimed: 0,
        sync_point: SyncPointState::Unreadable,
        wrong: Vec::new(),
    };
    match synced::read(storage) {
        Ok(mark) => survey.sync_point = mark,
        Err(error) => survey.refused.push((synced::NAME.to_owned(), error)),
    }
    let (mut indexes, mut found) = (Vec::new(), Vec::new());
    for name in storage.list().map_err(|error| OpenError::of_folder("list", storage.path(), error))? {
        if name.ends_with(".tmp") {
            // An unfinished spare. A folder cannot be one, and removing it would fail.
            match storage.open(&name) {
                Err(error) if os_error::is_folder(&error) => survey.refused.push((name, error)),
                _ => survey.unusable.push(name),
            }
            continue;
        }
        if let Some(segment) = index::segment(&name) {
            indexes.push((segment, name));
            continue;
        }
        let Some(number) = segment::number(&name) else { continue };
        survey.next_file = survey.next_file.max(number + 1);
        let (file, bytes) = match segment::open(storage, &name) {
            Ok(opened) => opened,
            Err(error) => {
                survey.refused.push((name, error));
                continue;
            }
        };
        let kind = segment::read_head(&file).map_err(|error| failed(&name, error))?;
        let file = SegmentFile::new(name, file, bytes);
        match kind {
            FileKind::Segment(head) => found.push((head, file)),
            FileKind::Other(version) => {
                survey.rejected.push(RejectedFile { file, reason: RejectionReason::Version(version) })
            }
            FileKind::Spare => survey.spares.push(file),
            FileKind::Damaged => {
                // Whether it was in use is unknown. If it was the newest segment, no other frame would show a loss. So
                // it is harmless only if nothing was ever written to it.
                let is_empty = is_empty(&file).map_err(|error| failed(&file.name, error))?;
                if !is_empty {
                    survey.rejected.push(RejectedFile { file, reason: RejectionReason::Headless });
                } else {
                    survey.unusable.push(file.name);
                }
            }
        }
    }
    survey.sort_out(found);
    // The index of a freed segment.
    indexes.retain(|(segment, _)| !survey.segments.values().any(|(_, file)| file.name == *segment));
    survey.unusable.extend(indexes.into_iter().map(|(_, index)| index));
    Ok(survey)
}

/// The log's id: the one in the file `synced` if a segment has it, otherwise the one of most segments.
fn log_of<F>(found: &[(Head, SegmentFile<F>)], mark: SyncPointState) -> Option<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    found.iter().for_each(|(head, _)| *counts.entry(head.log).or_default() += 1);
    let most = || counts.iter().max_by_key(|(_, count)| **count).map(|(log, _)| *log);
    mark.log().filter(|log| counts.contains_key(log)).or_else(most)
}

/// Whether a segment has no bytes besides the fields of its head.
fn is_empty(segment: &SegmentFile<impl StorageFile>) -> io::Result<bool> {
    let mut bytes = vec![0; 1 << 20];
    let mut offset = FIELDS as u64;
    while offset < segment.bytes {
        let part = &mut bytes[..(segment.bytes - offset).min(1 << 20) as usize];
        segment.file.read_at(part, offset)?;
        if part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += part.len() as u64;
    }
    Ok(true)
}

impl<F> RejectedFile<F> {
    fn refused(self, storage: &impl Storage) -> OpenError {
        let file = storage.path().join(&self.file.name);
        match self.reason {
            RejectionReason::Version(version) => {
                OpenError::Version { file, version, known: segment::VERSION }
            }
            RejectionReason::Headless => OpenError::DamagedHead { file },
            RejectionReason::Duplicate(other) => {
                OpenError::Duplicate { file: storage.path().join(other), other: file }
            }
            RejectionReason::Foreign => {
                OpenError::Damaged { file, offset: 0, frame: None, what: DamageKind::Foreign }
            }
            RejectionReason::SecondWriter => {
                OpenError::Damaged { file, offset: 0, frame: None, what: DamageKind::TwoWriters }
            }
        }
    }
}

impl<F> Survey<F> {
    /// Sorts out the segments of this log.
    fn sort_out(&mut self, found: Vec<(Head, SegmentFile<F>)>) {
        let log = log_of(&found, self.sync_point);
        if self.sync_point.log().is_some_and(|id| Some(id) != log) && !found.is_empty() {
            self.wrong.push(Damage::of_whole_file(synced::NAME, 0, DamageKind::ForeignSyncedFile));
            self.sync_point = SyncPointState::Unreadable;
        }
        for (head, file) in found {
            if log.is_some_and(|log| head.log != log) {
                self.rejected.push(RejectedFile { file, reason: RejectionReason::Foreign });
                continue;
            }
            if file.bytes != head.bytes {
                let (has, made) = (file.bytes, head.bytes);
                let (from, to) = (has.min(made), has.max(made));
                let what = DamageKind::Length { has, made };
                self.wrong.push(Damage { file: file.name.clone(), from, to, frames: None, what });
            }
            if let Some((other_head, other)) = self.segments.insert(head.epoch, (head, file)) {
                let is_copy = other_head.mark == head.mark;
                let name = self.segments[&head.epoch].1.name.clone();
                let reason =
                    if is_copy { RejectionReason::Duplicate(name) } else { RejectionReason::SecondWriter };
                self.rejected.push(RejectedFile { file: other, reason });
            }
        }
    }

    /// The log's id; nothing for a log that was never written.
    pub(super) fn log(&self) -> Option<u64> {
        self.segments.values().next().map(|(head, _)| head.log).or(self.sync_point.log())
    }

    /// The number after the last frame that is known to be on disk.
    pub(super) fn known_end(&self) -> u64 {
        damage::known_frames(self).end
    }

    /// The torn tail of a log that ends before this frame, if anything was written after its end.
    pub(super) fn torn_tail(&self, next_frame: u64) -> Option<TornTail> {
        let last = self.frames.range(..next_frame).next_back();
        let (epoch, (_, file)) = self.segments.last_key_value()?;
        // Everything written before the newest segment was started is on disk.
        let last = last.filter(|(_, found)| found.epoch == *epoch);
        let offset = last.map_or(HEAD_BYTES, |(_, found)| found.offset + found.bytes);
        let void = self.frames.range(next_frame..).filter(|(_, found)| found.epoch == *epoch);
        let void_frames = void.clone().map(|(_, found)| found.frames).sum();
        let whole = void.map(|(_, found)| found.offset + found.bytes);
        let traces = self.traces.get(epoch).into_iter().flatten();
        let torn = traces.filter(|trace| trace.start >= offset).map(|trace| trace.end);
        let end = whole.chain(torn).max().filter(|end| *end > offset)?;
        Some(TornTail { file: file.name.clone(), offset, bytes: end - offset, void_frames })
    }

    /// Removes unusable files.
    pub(super) fn tidy<S: Storage<File = F>>(&mut self, storage: &S) -> Result<(), OpenError> {
        for name in self.unusable.drain(..) {
            tracing::warn!(file = name, "a log file that is not in use is removed");
            storage.remove(&name).map_err(|error| OpenError::io(storage.path(), &name, error))?;
        }
        Ok(())
    }

    /// Declares spares below this length unusable.
    pub(super) fn use_spares_of(&mut self, segment_bytes: u64) {
        let shorter = self.spares.extract_if(.., |spare| spare.bytes < segment_bytes);
        self.unusable.extend(shorter.map(|spare| spare.name));
    }

    /// The end of each segment's last frame, for segments with frames.
    pub(super) fn ends(&self) -> BTreeMap<u64, u64> {
        let mut ends = BTreeMap::new();
        for found in self.frames.values() {
            let end = ends.entry(found.epoch).or_insert(0);
            *end = (*end).max(found.offset + found.bytes);
        }
        ends
    }
}

/// Finds every whole frame of a segment, searching past damage.
pub(super) fn scan(bytes: &[u8], head: Head, frames: &mut BTreeMap<u64, FrameRun>) {
    let mark = head.mark.to_le_bytes();
    let mut offset = HEAD_BYTES;
    while let Some(rest) = bytes.get(offset as usize..).filter(|rest| rest.len() >= frame::HEAD_BYTES) {
        // Comparing the mark first rules out most of the millions of offsets.
        match Some(rest)
            .filter(|rest| rest[frame::MARK] == mark)
            .and_then(|rest| frame::parse(rest, head.mark))
        {
            Some((found, _)) => {
                let bytes = found.frame_bytes();
                frames.insert(
                    found.number,
                    FrameRun { epoch: head.epoch, offset, bytes, synced: found.synced, frames: 1 },
                );
                offset += bytes;
            }
            None => offset += ALIGNMENT,
        }
    }
}

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The number after the last valid frame.
    pub(super) next_frame: u64,
    /// Frames with lower numbers are known to be on disk.
    pub(super) synced: u64,
    /// Whole frames after the end, which are void.
    pub(super) void_frames: usize,
}

/// The number below which all frames were on disk, according to the frames themselves.
pub(super) fn synced(first_frame: u64, frames: &BTreeMap<u64, FrameRun>) -> u64 {
    frames.values().map(|frame| frame.synced).max().unwrap_or(first_frame)
}

/// The end of a log that has all frames before `synced`. Pure.
pub(super) fn end(synced: u64, frames: &BTreeMap<u64, FrameRun>) -> End {
    let mut next_frame = synced;
    // The last run that is known to be on disk may extend beyond that number.
    if let Some((number, run)) = frames.range(..synced).next_back() {
        next_frame = next_frame.max(number + run.frames);
    }
    while let Some(found) = frames.get(&next_frame) {
        next_frame += found.frames;
    }
    End { next_frame, synced, void_frames: frames.range(next_frame..).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(numbers: &[(u64, u64)]) -> BTreeMap<u64, FrameRun> {
        let found = |synced| FrameRun { epoch: 1, offset: 0, bytes: 8, synced, frames: 1 };
        numbers.iter().map(|(number, synced)| (*number, found(*synced))).collect()
    }

    fn ends(numbers: &[(u64, u64)]) -> End {
        let frames = frames(numbers);
        end(synced(5, &frames), &frames)
    }

    #[test]
    fn a_log_without_gaps_ends_after_its_last_frame() {
        let end = ends(&[(5, 5), (6, 6), (7, 7)]);
        assert_eq!(end, End { next_frame: 8, synced: 7, void_frames: 0 });
    }

    #[test]
    fn a_gap_that_no_frame_records_as_on_disk_is_a_torn_tail_even_if_whole_frames_follow() {
        let end = ends(&[(5, 5), (6, 6), (8, 7), (9, 7)]);
        assert_eq!(end, End { next_frame: 7, synced: 7, void_frames: 2 });
    }

    #[test]
    fn an_empty_log_ends_at_its_first_frame() {
        assert_eq!(ends(&[]), End { next_frame: 5, synced: 5, void_frames: 0 });
    }
}
