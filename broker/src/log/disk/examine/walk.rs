//! Which frames are missing, and where they were. Pure.

use std::{collections::BTreeMap, ops::Range};

use super::super::{
    recovery::{Found, Survey},
    segment::HEAD_BYTES,
};
use crate::log::record::RecordError;

/// Damage, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harm {
    /// The file.
    pub file: String,
    /// The first byte that cannot be used.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
    /// The numbers of the frames that are lost, where they are known.
    pub frames: Option<Range<u64>>,
    /// What it is.
    pub what: What,
}

/// What is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// Frames that were on disk are not there.
    #[error("frames that were on disk cannot be read any more")]
    Frames,
    /// They may lie in a file that is not there.
    #[error("frames that were on disk are missing; the file of a later segment is missing as well")]
    FramesOrFile,
    /// A file in which they may have been.
    #[error("the file holds no segment any more; frames that are missing may have been in it")]
    Empty,
    /// A segment's head.
    #[error("the head of a segment cannot be read{}", if *.kept { "; its frames can" } else { ", and so nothing in it" })]
    Head {
        /// Whether its frames were found all the same.
        kept: bool,
    },
    /// Two files are the same segment.
    #[error("the file is the same segment as {0}, which is the one that is used")]
    Twice(String),
    /// The disk gives an error.
    #[error("the disk cannot read this")]
    Unreadable,
    /// A whole frame with something that is no record of this version.
    #[error("{0}")]
    Record(RecordError),
}

/// Where the log was torn by a power cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: String,
    /// Where the last good frame ends.
    pub offset: u64,
    /// Whole frames behind it, which count for nothing.
    pub void_frames: u64,
}

impl Harm {
    /// All of a file.
    pub(super) fn whole(file: &str, bytes: u64, what: What) -> Self {
        Self { file: file.to_owned(), from: 0, to: bytes, frames: None, what }
    }

    /// Whether another damage lies in this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.file == other.file && self.from <= other.from && other.to <= self.to
    }
}

/// The number with which the log begins.
pub(super) fn first_frame<F>(survey: &Survey<F>) -> u64 {
    survey.segments.values().next().map_or(1, |(head, _)| head.first_frame)
}

/// Ranges in which frames are missing that were known to be on disk.
pub(super) fn lost<F>(survey: &Survey<F>, synced: u64) -> Vec<Harm> {
    let mut lost = Vec::new();
    let by_epoch = by_epoch(&survey.frames);
    let mut segments = survey.segments.iter().peekable();
    while let Some((epoch, (head, file))) = segments.next() {
        let next = segments.peek().map(|(epoch, (head, _))| (**epoch, head.first_frame));
        let (mut expected, mut from) = (head.first_frame, HEAD_BYTES);
        let mut missing = |frames: Range<u64>, bytes: Range<u64>, what| {
            let frames = frames.start..frames.end.min(synced);
            if !frames.is_empty() {
                let (from, to) = (bytes.start, bytes.end);
                lost.push(Harm { file: file.name.clone(), from, to, frames: Some(frames), what });
            }
        };
        for (number, found) in by_epoch.get(epoch).into_iter().flatten() {
            missing(expected..*number, from..found.offset, What::Frames);
            (expected, from) = (number + 1, found.offset + found.bytes);
        }
        let end = next.map_or(u64::MAX, |(_, first)| first);
        let what =
            if next.is_some_and(|(next, _)| next > epoch + 1) { What::FramesOrFile } else { What::Frames };
        missing(expected..end.max(expected), from..file.bytes.max(from), what);
    }
    lost
}

/// The number after the last good frame, and where the log was torn if it was.
pub(super) fn end<F>(survey: &Survey<F>, synced: u64) -> (u64, Option<Cut>) {
    let mut next = synced;
    while survey.frames.contains_key(&next) {
        next += 1;
    }
    let void_frames = survey.frames.range(next..).count() as u64;
    let last = survey.frames.range(..next).next_back();
    let cut = last.filter(|_| void_frames > 0).map(|(_, found)| Cut {
        file: survey.segments[&found.epoch].1.name.clone(),
        offset: found.offset + found.bytes,
        void_frames,
    });
    (next, cut)
}

fn by_epoch(frames: &BTreeMap<u64, Found>) -> BTreeMap<u64, Vec<(u64, Found)>> {
    let mut by_epoch: BTreeMap<u64, Vec<(u64, Found)>> = BTreeMap::new();
    for (number, found) in frames {
        by_epoch.entry(found.epoch).or_default().push((*number, *found));
    }
    by_epoch
}
