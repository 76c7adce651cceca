//! Reads arbitrary bytes as a segment file, for [`crate::fuzz`].

use std::{collections::BTreeMap, io};

use super::super::{
    damage,
    frame::{self, ALIGNMENT},
    recovery::{self, FrameRun, Survey, scan},
    segment::{FileKind, HEAD_BYTES, Head, SegmentFile, read_head},
    storage::StorageFile,
    synced,
};
use super::headless::{Fit, Headless};
use crate::log::Record;

struct InMemory(Vec<u8>);

impl StorageFile for InMemory {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let from = self.0.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn read_cached_at(&self, _: &mut [u8], _: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn read_ahead(&self, _: u64, _: u64) {}

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// Reads the bytes as a segment twice: unchanged, and with corrected checksums, which random changes would never
/// produce.
pub(crate) fn fuzz(bytes: &[u8]) {
    read(bytes.to_vec());
    let mut sealed = bytes.to_vec();
    let mut offset = HEAD_BYTES as usize;
    while let Some(rest) = sealed.get_mut(offset..).filter(|rest| rest.len() >= frame::HEAD_BYTES) {
        offset += frame::reseal(rest).unwrap_or(ALIGNMENT) as usize;
    }
    read(sealed);
}

fn read(bytes: Vec<u8>) {
    let length = bytes.len() as u64;
    let kind = read_head(&InMemory(bytes.clone()));
    let empty = || Survey::<InMemory> {
        segments: BTreeMap::new(),
        spares: Vec::new(),
        next_file: 1,
        unusable: Vec::new(),
        heads: BTreeMap::new(),
        rejected: Vec::new(),
        refused: Vec::new(),
        frames: BTreeMap::new(),
        traces: BTreeMap::new(),
        partial: BTreeMap::new(),
        claimed: 0,
        sync_point: synced::SyncPointState::Missing,
        wrong: Vec::new(),
    };
    let file = SegmentFile::new("00000001.seg".to_owned(), InMemory(bytes.clone()), length);
    let mut survey = empty();
    match kind {
        Ok(FileKind::Segment(head)) => {
            scan(&bytes, head, &mut survey.frames);
            survey.segments.insert(head.epoch, (head, file));
        }
        _ => {
            if let Some(found) = Headless::find(&bytes, &survey, Fit::Anywhere) {
                found.adopt(file, &mut survey);
            }
        }
    }
    let _ = damage::of(&survey);
    // Possible contents of the file `synced`, taken from the same bytes.
    let number = |at: usize| {
        let chunk = bytes.len().checked_sub(at).and_then(|at| bytes[at..].first_chunk());
        chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk))
    };
    let (first_frame, next_frame, epoch) = (number(8), number(16), number(24));
    let mark =
        synced::SyncPoint { first_frame, next_frame, epoch, closed: epoch % 2 == 1, ..Default::default() };
    for seen in
        [synced::seen(&bytes), synced::SyncPointState::Half(mark), synced::SyncPointState::Whole(mark)]
    {
        survey.sync_point = seen;
        let _ = damage::of(&survey);
    }
    let end = recovery::end(survey.known_end(), &survey.frames);
    let _ = survey.torn_tail(end.next_frame);
    for FrameRun { offset, bytes: length, .. } in survey.frames.values() {
        let mut rest =
            bytes.get(*offset as usize + frame::HEAD_BYTES..(offset + length) as usize).unwrap_or(&[]);
        while let Ok((_, length)) = Record::decode_first(rest) {
            rest = &rest[length..];
        }
    }
    // Whatever the head says, also scan with the mark of the first frame.
    let mut frames = BTreeMap::new();
    let mark = bytes.get(HEAD_BYTES as usize + frame::MARK.start..).and_then(|rest| rest.first_chunk());
    let mark = mark.map_or(0, |mark| u64::from_le_bytes(*mark));
    let head = Head { epoch: 1, first_frame: 1, mark, bytes: length, log: 1 };
    scan(&bytes, head, &mut frames);
    let _ = recovery::end(1, &frames);
}
