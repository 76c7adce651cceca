//! Damage of a log's files, for a start, which refuses it, and for an inspection, which reports it. Pure.
//!
//! Architecture Invariant: the same function decides for both, so a start never misses damage that an inspection
//! reports. It decides before a start writes anything.

use std::{collections::BTreeMap, ops::Range};

use super::{
    recovery::{self, FrameRun, Survey},
    segment::HEAD_BYTES,
    synced::{self, SyncPointState},
};
use crate::{files::Misplaced, log::record::RecordError};

/// In the place of a file name: the file is missing from the folder, and its name is unknown.
pub const FOLDER: &str = "";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file; [`FOLDER`] if a file is missing and its name is unknown.
    pub file: String,
    /// The first unusable byte.
    pub from: u64,
    /// The byte after the last one.
    pub to: u64,
    /// The numbers of the lost frames, if they are known.
    pub frames: Option<Range<u64>>,
    pub what: DamageKind,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// Frames that were on disk are gone.
    #[error("frames that were on disk are no longer readable")]
    Frames,
    /// The same; they may have been in a missing file.
    #[error("frames that were on disk are missing; the file of a later segment is missing as well")]
    FramesOrFile,
    /// The oldest segments are missing, or all of them.
    #[error("frames that were on disk are missing, and so is the file of the segment that they were in")]
    File,
    /// A file that may have contained missing frames.
    #[error("the file no longer contains a segment; missing frames may have been in it")]
    Empty,
    #[error("the head of a segment is unreadable{}", if *.kept { "; its frames are readable" } else { ", and so is everything in it" })]
    Head {
        /// Whether its frames were found nevertheless.
        kept: bool,
    },
    /// The file has another length than at its creation.
    #[error("the file has {has} bytes, but was created with {made}")]
    Length {
        has: u64,
        /// The length in its head.
        made: u64,
    },
    #[error("the file is a segment of another log and replaced the one that belongs here")]
    Foreign,
    /// The file `synced` belongs to another log.
    #[error("the file belongs to another log than the segments beside it")]
    ForeignSyncedFile,
    #[error("the file is the same segment as {0}, which is used")]
    Duplicate(String),
    #[error(
        "two brokers wrote this log at the same time: the records that one of them wrote here are not part of the log"
    )]
    TwoWriters,
    /// The file `synced` is missing or unreadable.
    #[error("the file that records which frames are on disk is {}", if *.missing { "missing" } else { "unreadable" })]
    SyncedFile {
        /// Whether it is missing.
        missing: bool,
    },
    /// Something that no broker wrote is in the place of a file.
    #[error(transparent)]
    Misplaced(Misplaced),
    /// The disk reports an error.
    #[error("the disk cannot read it")]
    Unreadable,
    /// The content of one message, and nothing else.
    #[error("the body or a header of a message {}", if *.by_disk { "cannot be read by the disk" } else { "has changed" })]
    Content {
        /// Whether the disk reports an error, instead of other bytes.
        by_disk: bool,
    },
    /// A damaged frame that the index can replace, because it has no damaged message.
    #[error("a group commit has changed; the segment's index has its records")]
    Indexed,
    /// An intact frame has a record that this version cannot decode.
    #[error("{0}")]
    Record(RecordError),
}

impl DamageKind {
    /// Whether a start repairs the damage without any loss: it recreates the file and warns.
    pub fn is_repaired_by_start(&self) -> bool {
        matches!(self, Self::SyncedFile { .. })
    }

    /// Whether the damage loses records: messages, or later changes of other messages.
    pub fn loses_records(&self) -> bool {
        match self {
            Self::Frames
            | Self::FramesOrFile
            | Self::File
            | Self::Empty
            | Self::Head { kept: false }
            | Self::TwoWriters
            | Self::Misplaced(_)
            | Self::Unreadable
            | Self::Record(_) => true,
            Self::Length { has, made } => has < made,
            Self::Head { kept: true }
            | Self::Foreign
            | Self::ForeignSyncedFile
            | Self::Duplicate(_)
            | Self::Content { .. }
            | Self::Indexed
            | Self::SyncedFile { .. } => false,
        }
    }
}

/// The tail of a log that a power cut tore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    pub file: String,
    /// Where the last valid frame ends.
    pub offset: u64,
    /// Bytes of frames after that.
    pub bytes: u64,
    /// Whole frames among them, which are void.
    pub void_frames: u64,
}

impl Damage {
    /// Damage of a whole file.
    pub(super) fn of_whole_file(file: &str, bytes: u64, what: DamageKind) -> Self {
        Self { file: file.to_owned(), from: 0, to: bytes, frames: None, what }
    }

    /// Whether this range includes another one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.file == other.file && self.from <= other.from && other.to <= self.to
    }

    /// Whether the ranges overlap.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.file == other.file && self.from < other.to && other.from < self.to
    }
}

/// The numbers of the frames that must exist, according to the segments and the file `synced`.
pub(super) fn known_frames<F>(survey: &Survey<F>) -> Range<u64> {
    let oldest = survey.segments.values().next().map(|(head, _)| head.first_frame);
    let (first, next) = survey.sync_point.frames();
    // Earlier segments were freed. If a crash left one of them, it is still part of the log.
    let first = match (oldest, first) {
        (Some(oldest), Some(first)) => oldest.min(first),
        (oldest, first) => oldest.or(first).unwrap_or(1),
    };
    let synced = recovery::synced(oldest.unwrap_or(first), &survey.frames).max(survey.claimed);
    first..synced.max(next.unwrap_or(0)).max(first)
}

/// All damage of a log whose segments were found, unordered.
pub(super) fn of<F>(survey: &Survey<F>) -> Vec<Damage> {
    let mut damage = lost(survey);
    damage.extend(survey.wrong.iter().cloned());
    damage.extend(after_the_end(survey));
    match survey.sync_point {
        SyncPointState::Missing | SyncPointState::Unreadable if survey.segments.is_empty() => {}
        SyncPointState::Missing => {
            damage.push(Damage::of_whole_file(synced::NAME, 0, DamageKind::SyncedFile { missing: true }))
        }
        SyncPointState::Unreadable | SyncPointState::Half(_) => {
            damage.push(Damage::of_whole_file(synced::NAME, 0, DamageKind::SyncedFile { missing: false }));
        }
        SyncPointState::Whole(_) => {}
    }
    damage
}

/// Frames that were written after the log's last owner had closed it.
fn after_the_end<F>(survey: &Survey<F>) -> Option<Damage> {
    let closed_at = survey.sync_point.closed_at()?;
    let beyond: Vec<_> = survey.frames.range(closed_at..).collect();
    let ((first, begins), (last, ends)) = (*beyond.first()?, *beyond.last()?);
    let (_, file) = &survey.segments[&begins.epoch];
    let to = if ends.epoch == begins.epoch { ends.offset + ends.bytes } else { file.bytes };
    let frames = Some(*first..last + ends.frames);
    Some(Damage { file: file.name.clone(), from: begins.offset, to, frames, what: DamageKind::TwoWriters })
}

/// Ranges of missing frames that were known to be on disk.
fn lost<F>(survey: &Survey<F>) -> Vec<Damage> {
    let known = known_frames(survey);
    let mut lost = Vec::new();
    let by_epoch = by_epoch(&survey.frames);
    let mut segments = survey.segments.iter().peekable();
    let begins = segments.peek().map_or(u64::MAX, |(_, (head, _))| head.first_frame);
    let before = known.start..begins.min(known.end);
    if !before.is_empty() {
        lost.push(Damage { frames: Some(before), ..Damage::of_whole_file(FOLDER, 0, DamageKind::File) });
    }
    while let Some((epoch, (head, file))) = segments.next() {
        let next = segments.peek().map(|(epoch, (head, _))| (**epoch, head.first_frame));
        let (mut expected, mut from) = (head.first_frame, HEAD_BYTES);
        let mut missing = |frames: Range<u64>, bytes: Range<u64>, what| {
            let frames = frames.start..frames.end.min(known.end);
            if !frames.is_empty() {
                let (from, to) = (bytes.start, bytes.end);
                lost.push(Damage { file: file.name.clone(), from, to, frames: Some(frames), what });
            }
        };
        for (number, found) in by_epoch.get(epoch).into_iter().flatten() {
            missing(expected..*number, from..found.offset, DamageKind::Frames);
            (expected, from) = (number + found.frames, found.offset + found.bytes);
        }
        let end = next.map_or(u64::MAX, |(_, first)| first);
        let next =
            next.map(|(next, _)| next).or(survey.sync_point.epoch().map(|epoch| epoch.saturating_add(1)));
        let what = if next.is_some_and(|next| next > epoch.saturating_add(1)) {
            DamageKind::FramesOrFile
        } else {
            DamageKind::Frames
        };
        missing(expected..end.max(expected), from..file.bytes.max(from), what);
    }
    lost
}

fn by_epoch(frames: &BTreeMap<u64, FrameRun>) -> BTreeMap<u64, Vec<(u64, FrameRun)>> {
    let mut by_epoch: BTreeMap<u64, Vec<(u64, FrameRun)>> = BTreeMap::new();
    for (number, found) in frames {
        by_epoch.entry(found.epoch).or_default().push((*number, *found));
    }
    by_epoch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{
        segment::{Head, SegmentFile},
        synced::SyncPoint,
    };

    /// A log with one segment that starts with frame 5. Each run is given by its first number, its length and its known
    /// synced number.
    fn survey(frames: &[(u64, u64, u64)], mark: SyncPointState) -> Survey<()> {
        let head = Head { epoch: 3, first_frame: 5, mark: 1, bytes: 65536, log: 1 };
        let found = |(number, frames, synced): &(u64, u64, u64)| {
            (
                *number,
                FrameRun {
                    epoch: 3,
                    offset: 4096 + number * 8,
                    bytes: 8 * frames,
                    synced: *synced,
                    frames: *frames,
                },
            )
        };
        Survey {
            segments: BTreeMap::from([(3, (head, SegmentFile::new("3.seg".to_owned(), (), 65536)))]),
            spares: Vec::new(),
            next_file: 4,
            unusable: Vec::new(),
            rejected: Vec::new(),
            refused: Vec::new(),
            claimed: 0,
            frames: frames.iter().map(found).collect(),
            heads: BTreeMap::new(),
            traces: BTreeMap::new(),
            partial: BTreeMap::new(),
            sync_point: mark,
            wrong: Vec::new(),
        }
    }

    fn mark(first_frame: u64, next_frame: u64, closed: bool) -> SyncPointState {
        SyncPointState::Whole(SyncPoint {
            log: 1,
            owner: 2,
            first_frame,
            next_frame,
            epoch: 3,
            end: 0,
            closed,
        })
    }

    fn damage_of(frames: &[(u64, u64, u64)], mark: SyncPointState) -> Vec<(DamageKind, Option<Range<u64>>)> {
        of(&survey(frames, mark)).into_iter().map(|damage| (damage.what, damage.frames)).collect()
    }

    #[test]
    fn a_gap_that_a_later_frame_records_as_on_disk_is_damage_also_between_runs() {
        let mark = mark(5, 5, false);
        assert_eq!(damage_of(&[(5, 1, 5), (6, 1, 6), (8, 1, 8)], mark), [(DamageKind::Frames, Some(7..8))]);
        assert_eq!(damage_of(&[(6, 1, 6)], mark), [(DamageKind::Frames, Some(5..6))]);
        assert_eq!(damage_of(&[(5, 3, 8), (9, 4, 12)], mark), [(DamageKind::Frames, Some(8..9))]);
        assert_eq!(damage_of(&[(5, 1, 5), (6, 1, 6), (8, 1, 7)], mark), []);
    }

    #[test]
    fn a_log_that_ends_before_its_last_recorded_frame_is_damaged() {
        let frames = [(5, 1, 5), (6, 1, 6)];
        assert_eq!(damage_of(&frames, mark(5, 7, false)), []);
        assert_eq!(damage_of(&frames, mark(5, 9, false)), [(DamageKind::Frames, Some(7..9))]);
    }

    #[test]
    fn a_log_that_begins_after_its_first_retained_frame_is_damaged() {
        let frames = [(5, 1, 5), (6, 1, 6)];
        assert_eq!(damage_of(&frames, mark(2, 7, false)), [(DamageKind::File, Some(2..5))]);
        assert_eq!(
            damage_of(&frames, mark(6, 7, false)),
            [],
            "a crash left a segment that was about to be freed"
        );
    }

    #[test]
    fn frames_after_a_clean_close_come_from_a_second_writer() {
        let frames = [(5, 1, 5), (6, 1, 6), (7, 1, 7)];
        assert_eq!(damage_of(&frames, mark(5, 8, true)), []);
        assert_eq!(damage_of(&frames, mark(5, 7, true)), [(DamageKind::TwoWriters, Some(7..8))]);
        assert_eq!(damage_of(&frames, mark(5, 7, false)), [], "the next start writes it again");
    }

    #[test]
    fn a_missing_file_synced_is_reported_and_half_of_one_still_proves_which_frames_were_on_disk() {
        let frames = [(5, 1, 5), (6, 1, 6)];
        assert_eq!(
            damage_of(&frames, SyncPointState::Missing),
            [(DamageKind::SyncedFile { missing: true }, None)]
        );
        let SyncPointState::Whole(whole) = mark(2, 9, true) else { return };
        let half = damage_of(&frames, SyncPointState::Half(whole));
        assert_eq!(
            half,
            [(DamageKind::Frames, Some(7..9)), (DamageKind::SyncedFile { missing: false }, None)]
        );
    }
}
