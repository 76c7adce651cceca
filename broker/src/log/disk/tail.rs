//! Securing a log's tail. Frames that no later frame knows to be on disk may exist in the page cache only. They are
//! written again and synced before they are replayed.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    OpenError, Segment, frame,
    recovery::{End, FrameRun, Survey},
    reserve::SPARES as RESERVE,
    segment::{self, Head, SegmentFile, make_spare},
    spares::READY,
    storage::{Storage, StorageFile},
};
use crate::files::durable;

/// Where the log continues.
pub(super) enum TailPlace<F> {
    /// In a new segment, into which the tail is copied.
    Fresh(SegmentFile<F>),
    /// At its current end.
    Same,
    /// At its end after another inspection without its newest segment.
    Again,
}

/// Chooses where the log continues. If the disk has room for one more segment, it continues in a new one. If the disk
/// is full, it continues at its end: otherwise each start on a full disk would use up the reserve, until no settle fits
/// any more.
pub(super) fn choose_place<S: Storage>(
    storage: &S,
    survey: &mut Survey<S::File>,
    segment_bytes: u64,
    end: End,
) -> Result<TailPlace<S::File>, OpenError> {
    // A tail from longer segments of an earlier start must fit.
    let bytes = survey.segments.values().map(|(_, file)| file.bytes).max().unwrap_or(0).max(segment_bytes);
    let has_room = storage.volume().is_ok_and(|volume| volume.available >= 2 * bytes);
    if (survey.segments.is_empty() || (survey.spares.len() > READY && has_room))
        && let Some(spare) = survey.spares.pop_if(|spare| spare.bytes >= bytes)
    {
        return Ok(TailPlace::Fresh(spare));
    }
    let number = survey.next_file;
    survey.next_file += 1;
    match make_spare(storage, number, bytes, &AtomicBool::new(true)) {
        // An existing spare is used first, because it was written; the new one is only reserved.
        Ok(file) => Ok(TailPlace::Fresh(match survey.spares.pop_if(|spare| spare.bytes >= bytes) {
            Some(spare) => {
                survey.spares.push(file);
                spare
            }
            None => file,
        })),
        Err(error) if !durable::is_full(&error) => {
            Err(OpenError::io(storage.path(), &segment::name(number), error))
        }
        Err(_) if ends_clean(survey, end) => Ok(TailPlace::Same),
        Err(_) if clean(storage, survey, end)? => Ok(TailPlace::Same),
        // Abandon the copy in the newest segment; its originals count again.
        Err(source) => match survey.segments.pop_last() {
            Some((_, (_, file))) => {
                segment::blank(&file).map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
                Ok(TailPlace::Again)
            }
            None => Err(OpenError::Full { folder: storage.path().to_owned(), segment_bytes: bytes, source }),
        },
    }
}

/// Makes the log end after its last valid frame, without needing room: overwrites the void bytes after it with zeros. A
/// crash in between leaves fewer of these bytes, and the end is the same. Returns false if the newest segment does not
/// start as its head says: it is an unfinished copy, or frames before it are lost.
fn clean<S: Storage>(storage: &S, survey: &Survey<S::File>, end: End) -> Result<bool, OpenError> {
    let Some((epoch, (head, SegmentFile { name, file, bytes, .. }))) = survey.segments.last_key_value()
    else {
        return Ok(false);
    };
    if head.first_frame != first_frame(survey, *epoch, end) {
        return Ok(false);
    }
    let from = survey.ends().get(epoch).copied().unwrap_or(segment::HEAD_BYTES);
    segment::write_zeros(file, from, *bytes)
        .and_then(|()| file.sync_data())
        .map_err(|error| OpenError::io(storage.path(), name, error))?;
    Ok(true)
}

/// The number of the first frame that a segment has or would have.
fn first_frame<F>(survey: &Survey<F>, epoch: u64, end: End) -> u64 {
    let first = survey.frames.iter().find(|(_, found)| found.epoch == epoch);
    first.map_or(end.next_frame, |(number, _)| *number)
}

/// The segment length for this start: the requested one. But on a full disk it is at most the length of the existing
/// segments, because there is no room for longer ones, and the existing spares would be too short.
pub(super) fn segment_bytes<S: Storage>(storage: &S, survey: &Survey<S::File>, requested: u64) -> u64 {
    let newest = survey.segments.values().next_back().map_or(requested, |(_, file)| file.bytes);
    let are_long_enough = survey.spares.iter().filter(|spare| spare.bytes >= requested).count();
    let missing = RESERVE.saturating_sub(are_long_enough) as u64;
    let shorter = survey.spares.iter().filter(|spare| spare.bytes < requested).map(|spare| spare.bytes);
    let available = storage.volume().map_or(u64::MAX, |volume| volume.available);
    if newest >= requested || available.saturating_add(shorter.sum()) >= missing * requested {
        return requested;
    }
    tracing::warn!(
        requested,
        kept = newest,
        "the volume has no room for longer segments: the log keeps the previous length, and the next start tries again"
    );
    newest
}

/// Whether the newest segment can be appended to. Void frames after the end would later be mistaken for valid ones. And
/// if the head names another first frame than exists, as after an unfinished copy or a lost tail, the log would look
/// damaged when earlier segments are gone.
fn ends_clean<F>(survey: &Survey<F>, end: End) -> bool {
    survey.segments.values().next_back().is_some_and(|(head, _)| {
        end.void_frames == 0 && head.first_frame == first_frame(survey, head.epoch, end)
    })
}

/// Copies the tail into a new segment.
///
/// The segment is marked as used, with its own epoch and mark, before the copy. A power cut may leave half of a copy.
/// The next start copies again, under another mark, so it does not mistake that half for a part of its own copy. The
/// originals become void only when the segment's head is updated at the end.
pub(super) fn copy<S: Storage>(
    storage: &S,
    survey: &Survey<S::File>,
    tail: &BTreeMap<u64, FrameRun>,
    end: End,
    fresh: SegmentFile<S::File>,
    log: u64,
) -> Result<Segment<S::File>, OpenError> {
    let failed = |error| OpenError::io(storage.path(), &fresh.name, error);
    let epoch = survey.segments.keys().next_back().map_or(1, |epoch| epoch + 1);
    let mark = storage.random().map_err(failed)?;
    let mut head = Head { epoch, first_frame: end.next_frame, mark, bytes: fresh.bytes, log };
    head.write(&fresh.file).map_err(failed)?;
    let mut offset = segment::HEAD_BYTES;
    for (number, found) in tail {
        assert!(
            found.frames == 1,
            "a run of several frames is known to be on disk and is not part of the tail"
        );
        let (from, file) = &survey.segments[&found.epoch];
        let mut bytes = vec![0; found.bytes as usize];
        file.file.read_at(&mut bytes, found.offset).map_err(failed)?;
        let length = frame::parse(&bytes, from.mark).map_or(0, |(head, _)| head.length as usize);
        bytes.truncate(frame::HEAD_BYTES + length);
        frame::seal(&mut bytes, mark, *number, end.synced);
        fresh.file.write_at(&bytes, offset).map_err(failed)?;
        offset += bytes.len() as u64;
    }
    if !tail.is_empty() {
        fresh.file.sync_data().map_err(failed)?;
        head.first_frame = end.synced;
        head.write(&fresh.file).map_err(failed)?;
    }
    Ok(Segment::new(Arc::new(fresh), head, offset))
}

/// Writes the tail again in place: the page cache may wrongly take it for written.
pub(super) fn rewrite<S: Storage>(
    storage: &S,
    survey: &Survey<S::File>,
    tail: &BTreeMap<u64, FrameRun>,
) -> Result<(), OpenError> {
    for found in tail.values() {
        let SegmentFile { name, file, .. } = &survey.segments[&found.epoch].1;
        let mut bytes = vec![0; found.bytes as usize];
        let again = file.read_at(&mut bytes, found.offset).and_then(|()| file.write_at(&bytes, found.offset));
        again.and_then(|()| file.sync_data()).map_err(|error| OpenError::io(storage.path(), name, error))?;
    }
    Ok(())
}
