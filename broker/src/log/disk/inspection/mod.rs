//! Inspection of a log's files, without any change and past any damage.
//!
//! It reads like a start ([`recovery`]). But where a start stops, it continues: it names all damage instead of the
//! first, and the records around it.

mod fuzz;
mod headless;
mod read_only;

use std::{collections::BTreeMap, path::Path};

pub use super::damage::{Damage, DamageKind, FOLDER, TornTail};
use super::{
    OpenError,
    contents::{self, Content},
    damage, frame,
    frame_search::Indexes,
    place::{RecordPlace, SegmentId},
    recovery::{self, FrameRun, RejectedFile, RejectionReason, Survey},
    segment::{self, SegmentFile},
    storage::{Storage, StorageFile},
    synced,
};
use crate::{
    files::os_error,
    log::{Position, Record, RecordHead, record::RecordError},
};
pub(crate) use fuzz::fuzz;
use headless::{Fit, Headless};
use read_only::ReadOnly;

/// A segment in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    pub file: String,
    /// The number of this use of a segment.
    pub epoch: u64,
    /// The number of its first frame.
    pub first_frame: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The end of its last valid frame.
    pub end: u64,
    /// Number of its valid frames.
    pub frames: u64,
}

/// The place of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSource<'a> {
    pub frame: u64,
    pub file: &'a str,
    pub offset: u64,
    /// The position, for reading the record.
    pub position: Position,
    /// Bytes of the content if it is damaged or unreadable; the record then has no content.
    pub unread: Option<usize>,
}

impl RecordSource<'_> {
    /// The head of the record.
    pub fn head<'a>(&self, record: &Record<'a>) -> RecordHead<'a> {
        match self.unread {
            Some(content_bytes) => RecordHead { record: *record, content_bytes },
            None => RecordHead::of(record),
        }
    }
}

/// An inspected log. The owner of this value holds the data folder's lock, so nobody changes the log in the meantime.
pub struct LogInspection {
    storage: ReadOnly,
    survey: Survey<read_only::LenientFile>,
    /// The index of its first segment among all logs that are inspected together.
    first: u32,
    /// Frames with lower numbers are known to have been on disk.
    synced: u64,
    /// The number after the last valid frame.
    next_frame: u64,
    damage: Vec<Damage>,
    torn_tail: Option<TornTail>,
    /// The heads of the records in frames that are only described by an index.
    indexed: BTreeMap<u64, Vec<u8>>,
}

/// Inspects the log in a folder. `first` is the index of its first segment among all logs that are inspected together.
/// A missing folder is an empty log.
pub fn inspect(folder: &Path, first: u32) -> Result<LogInspection, OpenError> {
    LogInspection::of(ReadOnly::open(folder), first)
}

/// Recovers the readable part of a segment without a head.
fn headless<F>(file: SegmentFile<F>, bytes: &[u8], survey: &mut Survey<F>, fit: Fit) -> Damage {
    let found = Headless::find(bytes, survey, fit);
    let what = DamageKind::Head { kept: found.is_some() };
    let to = if found.is_some() { segment::HEAD_BYTES } else { file.bytes };
    let damage = Damage { to, ..Damage::of_whole_file(&file.name, file.bytes, what) };
    if let Some(found) = found {
        found.adopt(file, survey);
    }
    damage
}

/// Whether frames are missing.
fn has_lost(damage: &[Damage]) -> bool {
    damage
        .iter()
        .any(|damage| matches!(damage.what, DamageKind::Frames | DamageKind::FramesOrFile | DamageKind::File))
}

impl LogInspection {
    fn of(storage: ReadOnly, first: u32) -> Result<Self, OpenError> {
        let mut survey = recovery::list(&storage)?;
        survey.find_frames(&storage, Indexes::Ignored)?;
        let indexed = survey.fill_from_indexes(&storage);
        let mut damage = Vec::new();
        for (name, error) in std::mem::take(&mut survey.refused) {
            // A missing permission is an error and not damage: a user with that permission can inspect the log.
            let misplaced = os_error::misplaced(&error).cloned();
            match misplaced {
                Some(misplaced) => {
                    damage.push(Damage::of_whole_file(&name, 0, DamageKind::Misplaced(misplaced)))
                }
                None if os_error::is_denied(&error) => {
                    return Err(OpenError::io(storage.path(), &name, error));
                }
                None => damage.push(Damage::of_whole_file(&name, 0, DamageKind::Unreadable)),
            }
        }
        for RejectedFile { file, reason } in std::mem::take(&mut survey.rejected) {
            let what = match reason {
                RejectionReason::Headless => {
                    let read = file.read().map_err(|error| OpenError::io(storage.path(), &file.name, error));
                    damage.push(headless(file, &read?, &mut survey, Fit::Anywhere));
                    continue;
                }
                RejectionReason::Version(version) => {
                    let file = storage.path().join(file.name);
                    return Err(OpenError::Version { file, version, known: segment::VERSION });
                }
                RejectionReason::Duplicate(other) => DamageKind::Duplicate(other),
                RejectionReason::Foreign => DamageKind::Foreign,
                RejectionReason::SecondWriter => DamageKind::TwoWriters,
            };
            damage.push(Damage::of_whole_file(&file.name, file.bytes, what));
        }
        // A segment with a zeroed head looks like a spare. But a spare has no frames that are missing.
        if has_lost(&damage::of(&survey)) {
            for file in std::mem::take(&mut survey.spares) {
                let bytes = file.read().map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
                if Headless::find(&bytes, &survey, Fit::Known).is_some() {
                    damage.push(headless(file, &bytes, &mut survey, Fit::Known));
                } else {
                    survey.spares.push(file);
                }
            }
        }
        let of_the_whole = damage::of(&survey);
        if of_the_whole
            .iter()
            .any(|damage| matches!(damage.what, DamageKind::FramesOrFile | DamageKind::File))
        {
            let empty = survey.unusable.iter().filter(|name| super::is_segment_name(name));
            damage.extend(empty.map(|name| Damage::of_whole_file(name, 0, DamageKind::Empty)));
        }
        // A misplaced file `synced` is reported already.
        let is_reported = damage.iter().any(|damage| damage.file == synced::NAME);
        damage.extend(
            of_the_whole.into_iter().filter(|damage| !(is_reported && damage.what.is_repaired_by_start())),
        );
        let synced = survey.known_end();
        let recovery::End { next_frame, .. } = recovery::end(synced, &survey.frames);
        let torn_tail = survey.torn_tail(next_frame).filter(|_| damage.is_empty());
        survey.frames.split_off(&next_frame);
        let mut inspection = Self { storage, survey, first, synced, next_frame, damage, torn_tail, indexed };
        inspection.find_unreadable_messages()?;
        Ok(inspection)
    }

    /// Reports the damaged messages, and everything else that the disk cannot read.
    fn find_unreadable_messages(&mut self) -> Result<(), OpenError> {
        let (mut partial, mut unread) = (Vec::new(), Vec::new());
        for (number, (epoch, _)) in &self.survey.partial {
            let Some(found) = self.survey.frames.get(number) else { continue };
            let range = |from, to, what| {
                let (_, file) = &self.survey.segments[epoch];
                Damage { from, to, ..Damage::of_whole_file(&file.name, 0, what) }
            };
            let before = unread.len();
            // A frame is partial only if everything except contents is intact.
            let _ = self.each_record(*number, found, |offset, length, content| {
                if let Content::Unread(_) = content {
                    unread.push(range(
                        offset,
                        offset + length as u64,
                        DamageKind::Content { by_disk: false },
                    ));
                }
            })?;
            let frame = range(found.offset, found.offset + found.bytes, DamageKind::Indexed);
            if unread.len() == before {
                unread.push(frame.clone());
            }
            partial.push(frame);
        }
        let unreadable = self.storage.unreadable();
        for damage in &mut unread {
            if damage.what == (DamageKind::Content { by_disk: false }) {
                damage.what = DamageKind::Content {
                    by_disk: unreadable.iter().any(|unreadable| unreadable.meets(damage)),
                };
            }
        }
        // A range with missing frames or damaged messages is reported already.
        let is_named = |unreadable: &Damage| {
            self.damage.iter().any(|damage| damage.covers(unreadable))
                || partial.iter().any(|partial| partial.meets(unreadable))
        };
        let unnamed: Vec<_> = unreadable.into_iter().filter(|unreadable| !is_named(unreadable)).collect();
        self.damage.extend(unnamed);
        self.damage.extend(unread);
        Ok(())
    }

    /// All damage, unordered.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The torn tail of a power cut, which the next start cuts off, or the last one has left.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn_tail.as_ref()
    }

    /// The number after the last valid frame.
    pub fn next_frame(&self) -> u64 {
        self.next_frame
    }

    /// The number and the bytes of valid frames that are not known to be on disk.
    pub fn unsynced(&self) -> (u64, u64) {
        let tail = self.survey.frames.range(self.synced..);
        tail.fold((0, 0), |(count, bytes), (_, found)| (count + 1, bytes + found.bytes))
    }

    /// The number and the bytes of spare segments.
    pub fn spares(&self) -> (u64, u64) {
        let spares = self.survey.spares.iter();
        spares.fold((0, 0), |(count, bytes), spare| (count + 1, bytes + spare.bytes))
    }

    /// The log's id; nothing if there are no files.
    pub fn id(&self) -> Option<u64> {
        self.survey.log()
    }

    /// The segments in use, oldest first.
    pub fn segments(&self) -> Vec<SegmentSummary> {
        let mut frames: BTreeMap<u64, u64> = BTreeMap::new();
        self.survey.frames.values().for_each(|found| *frames.entry(found.epoch).or_default() += 1);
        let ends = self.survey.ends();
        let seen = |(epoch, (head, file)): (&u64, &(segment::Head, SegmentFile<_>))| SegmentSummary {
            file: file.name.clone(),
            epoch: *epoch,
            first_frame: head.first_frame,
            bytes: file.bytes,
            end: ends.get(epoch).copied().unwrap_or(segment::HEAD_BYTES),
            frames: frames.get(epoch).copied().unwrap_or(0),
        };
        self.survey.segments.iter().map(seen).collect()
    }

    /// Visits all readable records in order, including records of messages with damaged contents. Returns the places
    /// where an intact frame has a record that this version cannot decode.
    pub fn records(
        &self,
        mut visit: impl FnMut(RecordSource<'_>, &Record<'_>),
    ) -> Result<Vec<Damage>, OpenError> {
        let mut damage = Vec::new();
        let places: BTreeMap<u64, SegmentId> =
            self.survey.segments.keys().copied().zip((self.first..).map(SegmentId::Older)).collect();
        for (number, found) in &self.survey.frames {
            let (_, file) = &self.survey.segments[&found.epoch];
            let visited = self.each_record(*number, found, |offset, length, content| {
                let position = RecordPlace { segment: places[&found.epoch], offset, length }.into();
                let mut seen =
                    RecordSource { frame: *number, file: &file.name, offset, position, unread: None };
                match content {
                    Content::Whole(record) => visit(seen, &record),
                    Content::Unread(RecordHead { record, content_bytes }) => {
                        seen.unread = Some(content_bytes);
                        visit(seen, &record);
                    }
                }
            })?;
            if let Err((offset, error)) = visited {
                damage.push(Damage {
                    file: file.name.clone(),
                    from: offset,
                    to: found.offset + found.bytes,
                    frames: Some(*number..number + 1),
                    what: DamageKind::Record(error),
                });
            }
        }
        Ok(damage)
    }

    /// The bytes of an intact record, at a position that [`Self::records`] visited.
    pub fn read(&self, at: Position) -> Result<Vec<u8>, OpenError> {
        let RecordPlace { offset, length, .. } = at.into();
        let (_, segment) = self.segment_of(at).expect("the position is in a segment of this log");
        let mut bytes = vec![0; length];
        let read = segment.file.read_at(&mut bytes, offset);
        read.map_err(|error| OpenError::io(self.storage.path(), &segment.name, error))?;
        Ok(bytes)
    }

    /// A place in a file as a position, for comparison with the positions of records.
    pub fn position(&self, file: &str, offset: u64) -> Option<Position> {
        let index = self.survey.segments.values().position(|(_, segment)| segment.name == file)?;
        Some(RecordPlace::start(SegmentId::Older(self.first + index as u32), offset).into())
    }

    /// Whether a position is in this log.
    pub fn has(&self, at: Position) -> bool {
        self.segment_of(at).is_some()
    }

    fn segment_of(&self, at: Position) -> Option<&(segment::Head, SegmentFile<read_only::LenientFile>)> {
        let SegmentId::Older(index) = RecordPlace::from(at).segment else { return None };
        self.survey.segments.values().nth(index.checked_sub(self.first)? as usize)
    }

    /// Visits the records of a frame: the offset, the length and the readable part of each. Ends at a record that this
    /// version cannot decode.
    fn each_record(
        &self,
        number: u64,
        found: &FrameRun,
        visit: impl FnMut(u64, usize, Content<'_>),
    ) -> Result<Result<(), (u64, RecordError)>, OpenError> {
        let (head, segment) = &self.survey.segments[&found.epoch];
        let mut bytes = vec![0; found.bytes as usize];
        let read = segment.file.read_at(&mut bytes, found.offset);
        read.map_err(|error| OpenError::io(self.storage.path(), &segment.name, error))?;
        if let Some(heads) = self.indexed.get(&number) {
            return Ok(contents::each_indexed_record(heads, &bytes, found.offset, visit));
        }
        // The lock keeps the frame unchanged since it was found.
        let frame = frame::parse(&bytes, head.mark).or_else(|| frame::parse_but_contents(&bytes, head.mark));
        let records = frame.map_or(&[][..], |(_, records)| records);
        Ok(contents::each_record(records, found.offset + frame::HEAD_BYTES as u64, visit))
    }
}
