//! Bringing a log's tail to safety: the frames that no later frame knows to be on disk may be in the page cache only, so
//! they are written once more and synced before anybody is told of them.

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
use crate::data_folder::durable;

/// Where the log goes on.
pub(super) enum TailPlace<F> {
    /// In a fresh segment, into which the tail is copied.
    Fresh(SegmentFile<F>),
    /// Where it ends.
    Same,
    /// Where it ends once it was looked at again, without its newest segment.
    Again,
}

/// Chooses where to go on: in a fresh segment if the disk has room for one more; and if it is full, where the log ends, so that
/// not each start of a broker with a full disk takes of the reserve until nothing can be settled any more.
pub(super) fn choose_place<S: Storage>(
    storage: &S,
    survey: &mut Survey<S::File>,
    segment_bytes: u64,
    end: End,
) -> Result<TailPlace<S::File>, OpenError> {
    // A tail of larger segments, from a start with another size, must fit.
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
        // One that was there is used first: it was written, and this one only reserved.
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
        // What was begun there is given up, and what it is a copy of counts again.
        Err(source) => match survey.segments.pop_last() {
            Some((_, (_, file))) => {
                segment::blank(&file).map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
                Ok(TailPlace::Again)
            }
            None => Err(OpenError::Full { folder: storage.path().to_owned(), segment_bytes: bytes, source }),
        },
    }
}

/// Makes the log end where its last good frame does, without any room: what lies behind that in its segment is void, and is
/// written over with zeros. A crash meanwhile leaves less of it, and the log ends where it did. False when the newest segment
/// does not begin as its head says: a copy that was not finished, or one before which frames are lost.
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

/// The number of the first frame that a segment has, or would have.
fn first_frame<F>(survey: &Survey<F>, epoch: u64, end: End) -> u64 {
    let first = survey.frames.iter().find(|(_, found)| found.epoch == epoch);
    first.map_or(end.next_frame, |(number, _)| *number)
}

/// Bytes of the segments of this start: those that were asked for. But when the disk is full they are not longer than those that
/// are there, because there is no room for longer ones and the spares of before could not be used.
pub(super) fn segment_bytes<S: Storage>(storage: &S, survey: &Survey<S::File>, asked: u64) -> u64 {
    let newest = survey.segments.values().next_back().map_or(asked, |(_, file)| file.bytes);
    let are_long_enough = survey.spares.iter().filter(|spare| spare.bytes >= asked).count();
    let missing = RESERVE.saturating_sub(are_long_enough) as u64;
    let shorter = survey.spares.iter().filter(|spare| spare.bytes < asked).map(|spare| spare.bytes);
    let available = storage.volume().map_or(u64::MAX, |volume| volume.available);
    if newest >= asked || available.saturating_add(shorter.sum()) >= missing * asked {
        return asked;
    }
    tracing::warn!(
        asked,
        kept = newest,
        "the volume has no room for longer segments: the log keeps those of before, and the next start tries again"
    );
    newest
}

/// Whether the newest segment can be appended to. Void frames behind the end would be taken for good ones later; and a
/// head that promises another first frame than there is, as an unfinished copy or a lost tail leaves it, would make the log
/// look damaged once the segments before it are gone.
fn ends_clean<F>(survey: &Survey<F>, end: End) -> bool {
    survey.segments.values().next_back().is_some_and(|(head, _)| {
        end.void_frames == 0 && head.first_frame == first_frame(survey, head.epoch, end)
    })
}

/// Copies the tail into a fresh segment.
///
/// The segment is in use, and its epoch and mark are spent, before anything is copied: should the power go in between, a
/// later start must not find half of this copy in its own. Until its head says so at the end, the copies void nothing.
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
            "frames that are told as one are known to be on disk, and are not the tail"
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

/// Writes the tail once more where it is: what the page cache took for written is written then.
pub(super) fn write_again<S: Storage>(
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
