//! What is wrong with a log's files: what a start refuses and who looks is told. Pure.
//!
//! Architecture Invariant: one function decides for both, so that a start never knows less than who looks; and it decides
//! before a start writes anything.

use std::{collections::BTreeMap, ops::Range};

use super::{
    recovery::{self, FrameRun, Survey},
    segment::HEAD_BYTES,
    synced::{self, SyncPointState},
};
use crate::{data_folder::Misplaced, log::record::RecordError};

/// In the place of a file's name: the folder that it is missing from.
pub const FOLDER: &str = "";

/// Damage, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file; [`FOLDER`] where one is missing, and nothing tells its name.
    pub file: String,
    /// The first byte that cannot be used.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
    /// The numbers of the frames that are lost, where they are known.
    pub frames: Option<Range<u64>>,
    /// What it is.
    pub what: DamageKind,
}

/// What is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// Frames that were on disk are not there.
    #[error("frames that were on disk cannot be read any more")]
    Frames,
    /// They may lie in a file that is not there.
    #[error("frames that were on disk are missing; the file of a later segment is missing as well")]
    FramesOrFile,
    /// The oldest segments are not there, or none is.
    #[error("frames that were on disk are missing, and so is the file of the segment that they were in")]
    File,
    /// A file in which they may have been.
    #[error("the file holds no segment any more; frames that are missing may have been in it")]
    Empty,
    /// A segment's head.
    #[error("the head of a segment cannot be read{}", if *.kept { "; its frames can" } else { ", and so nothing in it" })]
    Head {
        /// Whether its frames were found all the same.
        kept: bool,
    },
    /// A file has another length than it was made with.
    #[error("the file has {has} bytes and was made with {made}")]
    Length {
        /// Its bytes.
        has: u64,
        /// Those that its head tells of.
        made: u64,
    },
    /// A segment of another log.
    #[error("the file is a segment of another log: it was exchanged for the one that belongs here")]
    Foreign,
    /// What tells what is on disk belongs to another log.
    #[error("the file belongs to another log than the segments beside it")]
    ForeignSyncedFile,
    /// Two files are the same segment.
    #[error("the file is the same segment as {0}, which is the one that is used")]
    Duplicate(String),
    /// Two brokers wrote the log at once.
    #[error("two brokers wrote this log at the same time: what one of them wrote there is not part of it")]
    TwoWriters,
    /// The file that tells what is on disk.
    #[error("the file that tells what was on disk {}", if *.missing { "is missing" } else { "cannot be read" })]
    SyncedFile {
        /// Whether it is not there at all.
        missing: bool,
    },
    /// Something that no broker wrote stands in the place of a file.
    #[error(transparent)]
    Misplaced(Misplaced),
    /// The disk gives an error.
    #[error("the disk cannot read this")]
    Unreadable,
    /// One message, and nothing else.
    #[error("a message {}", if *.by_disk { "cannot be read by the disk" } else { "is not what was written" })]
    Content {
        /// Whether the disk gives an error, and not other bytes.
        by_disk: bool,
    },
    /// A frame without a message that is gone.
    #[error("a group commit is not what was written; the segment's index tells what it was")]
    Indexed,
    /// A whole frame with something that is no record of this version.
    #[error("{0}")]
    Record(RecordError),
}

impl DamageKind {
    /// Whether a start goes on without anything being lost: it makes the file anew, and tells of it.
    pub fn is_mended_by_a_start(&self) -> bool {
        matches!(self, Self::SyncedFile { .. })
    }

    /// Whether records are lost by it: messages, and what was said of others.
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

/// Where the log was torn by a power cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: String,
    /// Where the last good frame ends.
    pub offset: u64,
    /// Bytes behind it that frames were written to.
    pub bytes: u64,
    /// Whole frames among them, which count for nothing.
    pub void_frames: u64,
}

impl Damage {
    /// All of a file.
    pub(super) fn whole(file: &str, bytes: u64, what: DamageKind) -> Self {
        Self { file: file.to_owned(), from: 0, to: bytes, frames: None, what }
    }

    /// Whether another damage lies in this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.file == other.file && self.from <= other.from && other.to <= self.to
    }

    /// Whether they have bytes in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.file == other.file && self.from < other.to && other.from < self.to
    }
}

/// The numbers of the frames that must be there: as the segments and the file `synced` tell.
pub(super) fn known<F>(survey: &Survey<F>) -> Range<u64> {
    let oldest = survey.segments.values().next().map(|(head, _)| head.first_frame);
    let (first, next) = survey.sync_point.frames();
    // What lies before was given back; a segment that a crash left there is part of the log all the same.
    let first = match (oldest, first) {
        (Some(oldest), Some(first)) => oldest.min(first),
        (oldest, first) => oldest.or(first).unwrap_or(1),
    };
    let synced = recovery::synced(oldest.unwrap_or(first), &survey.frames).max(survey.claimed);
    first..synced.max(next.unwrap_or(0)).max(first)
}

/// All that is wrong with a log whose segments were found, in no order.
pub(super) fn of<F>(survey: &Survey<F>) -> Vec<Damage> {
    let mut damage = lost(survey);
    damage.extend(survey.wrong.iter().cloned());
    damage.extend(after_the_end(survey));
    match survey.sync_point {
        SyncPointState::Missing | SyncPointState::Unreadable if survey.segments.is_empty() => {}
        SyncPointState::Missing => {
            damage.push(Damage::whole(synced::NAME, 0, DamageKind::SyncedFile { missing: true }))
        }
        SyncPointState::Unreadable | SyncPointState::Half(_) => {
            damage.push(Damage::whole(synced::NAME, 0, DamageKind::SyncedFile { missing: false }));
        }
        SyncPointState::Whole(_) => {}
    }
    damage
}

/// Frames that were written after the log's last owner had ended in order.
fn after_the_end<F>(survey: &Survey<F>) -> Option<Damage> {
    let closed_at = survey.sync_point.closed_at()?;
    let beyond: Vec<_> = survey.frames.range(closed_at..).collect();
    let ((first, begins), (last, ends)) = (*beyond.first()?, *beyond.last()?);
    let (_, file) = &survey.segments[&begins.epoch];
    let to = if ends.epoch == begins.epoch { ends.offset + ends.bytes } else { file.bytes };
    let frames = Some(*first..last + ends.frames);
    Some(Damage { file: file.name.clone(), from: begins.offset, to, frames, what: DamageKind::TwoWriters })
}

/// Ranges in which frames are missing that were known to be on disk.
fn lost<F>(survey: &Survey<F>) -> Vec<Damage> {
    let known = known(survey);
    let mut lost = Vec::new();
    let by_epoch = by_epoch(&survey.frames);
    let mut segments = survey.segments.iter().peekable();
    let begins = segments.peek().map_or(u64::MAX, |(_, (head, _))| head.first_frame);
    let before = known.start..begins.min(known.end);
    if !before.is_empty() {
        lost.push(Damage { frames: Some(before), ..Damage::whole(FOLDER, 0, DamageKind::File) });
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

    /// A log of one segment that begins with frame 5, and these frames: number, how many, and what each knows to be on disk.
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

    fn told(frames: &[(u64, u64, u64)], mark: SyncPointState) -> Vec<(DamageKind, Option<Range<u64>>)> {
        of(&survey(frames, mark)).into_iter().map(|damage| (damage.what, damage.frames)).collect()
    }

    #[test]
    fn a_gap_that_a_later_frame_knows_to_be_on_disk_is_damage_also_between_runs() {
        let mark = mark(5, 5, false);
        assert_eq!(told(&[(5, 1, 5), (6, 1, 6), (8, 1, 8)], mark), [(DamageKind::Frames, Some(7..8))]);
        assert_eq!(told(&[(6, 1, 6)], mark), [(DamageKind::Frames, Some(5..6))]);
        assert_eq!(told(&[(5, 3, 8), (9, 4, 12)], mark), [(DamageKind::Frames, Some(8..9))]);
        assert_eq!(told(&[(5, 1, 5), (6, 1, 6), (8, 1, 7)], mark), []);
    }

    #[test]
    fn an_end_before_what_is_known_to_be_on_disk_is_damage() {
        let frames = [(5, 1, 5), (6, 1, 6)];
        assert_eq!(told(&frames, mark(5, 7, false)), []);
        assert_eq!(told(&frames, mark(5, 9, false)), [(DamageKind::Frames, Some(7..9))]);
    }

    #[test]
    fn a_beginning_after_what_was_given_back_is_damage() {
        let frames = [(5, 1, 5), (6, 1, 6)];
        assert_eq!(told(&frames, mark(2, 7, false)), [(DamageKind::File, Some(2..5))]);
        assert_eq!(told(&frames, mark(6, 7, false)), [], "a crash left what was about to be given back");
    }

    #[test]
    fn frames_behind_an_end_in_order_are_of_a_second_writer() {
        let frames = [(5, 1, 5), (6, 1, 6), (7, 1, 7)];
        assert_eq!(told(&frames, mark(5, 8, true)), []);
        assert_eq!(told(&frames, mark(5, 7, true)), [(DamageKind::TwoWriters, Some(7..8))]);
        assert_eq!(told(&frames, mark(5, 7, false)), [], "the next start writes it once more");
    }

    #[test]
    fn a_mark_that_is_not_there_is_told_and_a_half_one_is_believed_of_what_was_on_disk() {
        let frames = [(5, 1, 5), (6, 1, 6)];
        assert_eq!(
            told(&frames, SyncPointState::Missing),
            [(DamageKind::SyncedFile { missing: true }, None)]
        );
        let SyncPointState::Whole(whole) = mark(2, 9, true) else { return };
        let half = told(&frames, SyncPointState::Half(whole));
        assert_eq!(
            half,
            [(DamageKind::Frames, Some(7..9)), (DamageKind::SyncedFile { missing: false }, None)]
        );
    }
}
