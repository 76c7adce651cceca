//! What a log's files hold after whatever happened to them.
//!
//! Frames are numbered without a gap over all segments, and each says up to which number all were known to be on disk
//! when it was written. So a number that is missing although a later frame knows it to be on disk means damage, and the
//! log is refused; and so is one that ends before what the file [`synced`] knows to be on disk. One that is missing otherwise
//! is the torn tail of a power cut, where the sectors of unsynced writes land in any order: there the log is cut, even if whole
//! frames follow.

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
use crate::data_folder::os_error;

/// A frame that was found whole; or all those that the index of a segment vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameRun {
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// All frames before this were on disk when it was written.
    pub(super) synced: u64,
    /// How many there are, numbered without a gap.
    pub(super) frames: u64,
}

/// A file that keeps a log from being opened.
pub(super) struct RejectedFile<F> {
    pub(super) file: SegmentFile<F>,
    pub(super) reason: RejectionReason,
}

/// Why.
pub(super) enum RejectionReason {
    /// Another version wrote it.
    Version(u32),
    /// Its head cannot be read, and it is not empty.
    Headless,
    /// The named file is the same segment.
    Duplicate(String),
    /// It is of another log.
    Foreign,
    /// It is what another broker wrote while the log was written.
    SecondWriter,
}

/// Everything that was found.
pub(super) struct Survey<F> {
    /// Segments in use, by epoch.
    pub(super) segments: BTreeMap<u64, (Head, SegmentFile<F>)>,
    /// Files ready for use.
    pub(super) spares: Vec<SegmentFile<F>>,
    /// A number that no file has.
    pub(super) next_file: u64,
    /// Names of files in which nothing is and that cannot be used.
    pub(super) unusable: Vec<String>,
    /// Files that keep the log from being opened.
    pub(super) rejected: Vec<RejectedFile<F>>,
    /// What stands in the place of files and is none, or may not be opened; and why.
    pub(super) refused: Vec<(String, io::Error)>,
    /// Frames by number.
    pub(super) frames: BTreeMap<u64, FrameRun>,
    /// The heads of all records in segments that were read, as far as they were kept.
    pub(super) heads: BTreeMap<u64, KeptHeads>,
    /// Where frames were written that are not whole, in segments that were read.
    pub(super) traces: BTreeMap<u64, Vec<Range<u64>>>,
    /// Frames in which only contents of messages are not what was written, or cannot be read: their segments, and where in them they
    /// begin.
    pub(super) partial: BTreeMap<u64, (u64, u64)>,
    /// What frames that do not count have said of others: all before this were on disk.
    pub(super) claimed: u64,
    /// What is known to have been on disk.
    pub(super) sync_point: SyncPointState,
    /// What is wrong with files whose frames count all the same.
    pub(super) wrong: Vec<Damage>,
}

/// The heads of all records in a segment.
pub(super) struct KeptHeads {
    pub(super) heads: Heads,
    /// The number after its last frame.
    pub(super) next_frame: u64,
}

/// Reads the files of the folder, or the indexes of those that have one. Changes nothing, so that a log that is refused is
/// as it was.
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
    if let Some(damage) = damage.iter().find(|damage| !damage.what.is_mended_by_a_start()) {
        return Err(OpenError::of_damage(storage.path(), damage));
    }
    for Damage { file, what, .. } in damage {
        let file = storage.path().join(file);
        tracing::warn!(
            file = %file.display(),
            "{what}: nothing tells any more whether the log was longer than it is now. It goes on from the end that was found, and \
             the file is made anew"
        );
    }
    for (epoch, offset) in survey.partial.values() {
        survey.segments[epoch].1.warn_of_partial(storage.path(), *epoch, *offset);
    }
    Ok(survey)
}

/// What each file is.
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
            // A spare that was being made. A folder is none, and would not go.
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
                // Whether it was in use is unknown, and if it was the newest, no frame elsewhere would be missed. So it is
                // harmless only if nothing was ever written to it.
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
    // What is left of a segment that was given back.
    indexes.retain(|(segment, _)| !survey.segments.values().any(|(_, file)| file.name == *segment));
    survey.unusable.extend(indexes.into_iter().map(|(_, index)| index));
    Ok(survey)
}

/// The id of the log that these segments are of: that of the file `synced` if one of them has it, or else of most.
fn log_of<F>(found: &[(Head, SegmentFile<F>)], mark: SyncPointState) -> Option<u64> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    found.iter().for_each(|(head, _)| *counts.entry(head.log).or_default() += 1);
    let most = || counts.iter().max_by_key(|(_, count)| **count).map(|(log, _)| *log);
    mark.log().filter(|log| counts.contains_key(log)).or_else(most)
}

/// Whether nothing was ever written to a segment but perhaps the fields of its head.
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
    /// Which of the segments are the log's.
    fn sort_out(&mut self, found: Vec<(Head, SegmentFile<F>)>) {
        let log = log_of(&found, self.sync_point);
        if self.sync_point.log().is_some_and(|id| Some(id) != log) && !found.is_empty() {
            self.wrong.push(Damage::whole(synced::NAME, 0, DamageKind::ForeignSyncedFile));
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

    /// The id of the log; none of one that was never written.
    pub(super) fn log(&self) -> Option<u64> {
        self.segments.values().next().map(|(head, _)| head.log).or(self.sync_point.log())
    }

    /// The frames that are known to be on disk end before this number.
    pub(super) fn known(&self) -> u64 {
        damage::known(self).end
    }

    /// Where a power cut has torn the log, which ends before this frame: if anything was written behind its end.
    pub(super) fn torn_tail(&self, next_frame: u64) -> Option<TornTail> {
        let last = self.frames.range(..next_frame).next_back();
        let (epoch, (_, file)) = self.segments.last_key_value()?;
        // What was written before the newest segment was begun is on disk.
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

    /// Removes what cannot be used.
    pub(super) fn tidy<S: Storage<File = F>>(&mut self, storage: &S) -> Result<(), OpenError> {
        for name in self.unusable.drain(..) {
            tracing::warn!(file = name, "a log file that is not in use is removed");
            storage.remove(&name).map_err(|error| OpenError::io(storage.path(), &name, error))?;
        }
        Ok(())
    }

    /// Spares that are shorter than this cannot be used.
    pub(super) fn use_spares_of(&mut self, segment_bytes: u64) {
        let shorter = self.spares.extract_if(.., |spare| spare.bytes < segment_bytes);
        self.unusable.extend(shorter.map(|spare| spare.name));
    }

    /// Where each segment's last frame ends; none for segments without frames.
    pub(super) fn ends(&self) -> BTreeMap<u64, u64> {
        let mut ends = BTreeMap::new();
        for found in self.frames.values() {
            let end = ends.entry(found.epoch).or_insert(0);
            *end = (*end).max(found.offset + found.bytes);
        }
        ends
    }
}

/// Finds every whole frame of a segment, searching on past damage.
pub(super) fn scan(bytes: &[u8], head: Head, frames: &mut BTreeMap<u64, FrameRun>) {
    let mark = head.mark.to_le_bytes();
    let mut offset = HEAD_BYTES;
    while let Some(rest) = bytes.get(offset as usize..).filter(|rest| rest.len() >= frame::HEAD_BYTES) {
        // The mark alone tells most places apart, and there are millions of them.
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

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The number after the last good frame.
    pub(super) next_frame: u64,
    /// All frames before this are known to be on disk.
    pub(super) synced: u64,
    /// Whole frames behind the end: they are void.
    pub(super) void_frames: usize,
}

/// All frames before this were on disk once: some frame says so.
pub(super) fn synced(first_frame: u64, frames: &BTreeMap<u64, FrameRun>) -> u64 {
    frames.values().map(|frame| frame.synced).max().unwrap_or(first_frame)
}

/// Where a log ends of which all frames before `synced` are there. Pure.
pub(super) fn end(synced: u64, frames: &BTreeMap<u64, FrameRun>) -> End {
    let mut next_frame = synced;
    // The last run that is known to be on disk may go on behind it.
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
    fn a_gap_that_no_frame_knows_to_be_on_disk_is_a_torn_tail_even_if_whole_frames_follow() {
        let end = ends(&[(5, 5), (6, 6), (8, 7), (9, 7)]);
        assert_eq!(end, End { next_frame: 7, synced: 7, void_frames: 2 });
    }

    #[test]
    fn an_empty_log_ends_where_it_begins() {
        assert_eq!(ends(&[]), End { next_frame: 5, synced: 5, void_frames: 0 });
    }
}
