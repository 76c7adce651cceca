//! What is known to be on disk: the file `synced` beside a log's segments.
//!
//! The log's end cannot tell by itself that it was longer once. So after each sync of the log this file is told which
//! frames were on disk by then; without a sync of its own, which would cost as much again. It outlives a killed process
//! exactly, and after a power cut it may say less than was so, and never more. It is synced when a segment is begun or given
//! back, and when the log ends in order.
//!
//! It also keeps two brokers apart that both take the log for their own, because somebody removed the lock's file: each
//! start draws a number for its owner, and who finds another one's there acknowledges nothing any more.
//!
//! The file has 4096 bytes. Two slots, each within one sector, at 0 and at 512, are written in turn; all numbers are
//! little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0–8 | `RESTSYNC` |
//! | 8–12 | version of the format, `u32`: 1 |
//! | 12–16 | crc32c over bytes 0–12 and 16–80, `u32` |
//! | 16–24 | id of the log, `u64`: as in the heads of its segments |
//! | 24–32 | how often a slot was written, `u64`: the larger of the two counts |
//! | 32–40 | owner, `u64`: random; one for each start |
//! | 40–48 | `first_frame`, `u64`: frames with this number and higher ones were not given back |
//! | 48–56 | `next_frame`, `u64`: frames with lower numbers were on disk |
//! | 56–64 | epoch of the segment with the last of them, `u64` |
//! | 64–72 | where in it that one ends, `u64` |
//! | 72–80 | 1 when the log ended in order: it has no other frames; else 0; `u64` |

use std::{
    io::{self, ErrorKind},
    ops::Range,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::storage::{Storage, StorageFile};
use crate::{
    data_folder::{Misplaced, durable},
    log::LogError,
};

/// The file's name.
pub(super) const NAME: &str = "synced";
/// What it is called until it is whole.
const UNFINISHED: &str = "synced.tmp";
pub(super) const FILE_BYTES: usize = 4096;
/// A sector of common disks, which they write whole or not at all.
const SLOT_BYTES: usize = 512;
const FIELDS: usize = 80;
/// From the first slot to the end of the second.
const BOTH: usize = SLOT_BYTES + FIELDS;
const MAGIC: &[u8; 8] = b"RESTSYNC";
const VERSION: u32 = 1;

/// What is known to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SyncPoint {
    /// The log.
    pub(super) log: u64,
    /// Who wrote it.
    pub(super) owner: u64,
    /// Frames with lower numbers may have been given back.
    pub(super) first_frame: u64,
    /// Frames with lower numbers were on disk.
    pub(super) next_frame: u64,
    /// The segment with the last of them.
    pub(super) epoch: u64,
    /// Where in it that one ends.
    pub(super) end: u64,
    /// Whether the log ended in order, and so has no other frames.
    pub(super) closed: bool,
}

/// How far the log is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnDisk {
    /// Frames with lower numbers are.
    pub(super) next_frame: u64,
    /// The segment with the last of them, and where in it that one ends.
    pub(super) at: (u64, u64),
}

impl SyncPoint {
    /// So much is on disk as well.
    pub(super) fn reach(&mut self, OnDisk { next_frame, at: (epoch, end) }: OnDisk) {
        if next_frame > self.next_frame {
            (self.next_frame, self.epoch, self.end) = (next_frame, epoch, end);
        }
    }
}

/// What the file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncPointState {
    /// It is not there.
    Missing,
    /// Neither slot is what was written.
    Unreadable,
    /// Only one slot is: it may be the older one. The frames that it tells of were on disk; of all else it may be out of date.
    Half(SyncPoint),
    /// It is as it was written.
    Whole(SyncPoint),
}

impl SyncPointState {
    /// The log that it belongs to, if that can be read.
    pub(super) fn log(self) -> Option<u64> {
        match self {
            Self::Half(mark) | Self::Whole(mark) => Some(mark.log),
            Self::Missing | Self::Unreadable => None,
        }
    }

    /// The numbers of frames that must be there: from the first, where it is known, to the last.
    pub(super) fn frames(self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Whole(mark) => (Some(mark.first_frame), Some(mark.next_frame)),
            Self::Half(mark) => (None, Some(mark.next_frame)),
            Self::Missing | Self::Unreadable => (None, None),
        }
    }

    /// Where the log ends, if its last owner ended in order.
    pub(super) fn closed_at(self) -> Option<u64> {
        match self {
            Self::Whole(mark) if mark.closed => Some(mark.next_frame),
            _ => None,
        }
    }

    /// The segment that its last frame lies in.
    pub(super) fn epoch(self) -> Option<u64> {
        match self {
            Self::Half(mark) | Self::Whole(mark) => Some(mark.epoch),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

/// Both slots as they lie in the file, and how often they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slots {
    bytes: [u8; BOTH],
    count: u64,
}

impl Slots {
    fn of(mark: &SyncPoint, count: u64) -> Self {
        let mut slots = Self { bytes: [0; BOTH], count };
        slots.write(mark);
        slots.write(mark);
        slots
    }

    /// Writes the slot whose turn it is; which one that is.
    fn write(&mut self, mark: &SyncPoint) -> Range<usize> {
        self.count += 1;
        let from = (self.count % 2) as usize * SLOT_BYTES;
        self.bytes[from..from + FIELDS].copy_from_slice(&encode(mark, self.count));
        from..from + FIELDS
    }
}

fn encode(mark: &SyncPoint, count: u64) -> [u8; FIELDS] {
    let SyncPoint { log, owner, first_frame, next_frame, epoch, end, closed } = *mark;
    let mut bytes = [0; FIELDS];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let numbers = [log, count, owner, first_frame, next_frame, epoch, end, closed.into()];
    for (field, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    let crc = checksum(&bytes);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(SyncPoint, u64)> {
    let bytes: &[u8; FIELDS] = bytes.first_chunk()?;
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    if &bytes[0..8] != MAGIC || u32_at(8) != VERSION || checksum(bytes) != u32_at(12) {
        return None;
    }
    let mark = SyncPoint {
        log: u64_at(16),
        owner: u64_at(32),
        first_frame: u64_at(40),
        next_frame: u64_at(48),
        epoch: u64_at(56),
        end: u64_at(64),
        closed: u64_at(72) == 1,
    };
    Some((mark, u64_at(24)))
}

fn checksum(slot: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&slot[0..12]), &slot[16..FIELDS])
}

/// What the bytes of both slots say.
pub(super) fn seen(bytes: &[u8]) -> SyncPointState {
    let slot = |from: usize| bytes.get(from..).and_then(decode);
    match (slot(0), slot(SLOT_BYTES)) {
        (None, None) => SyncPointState::Unreadable,
        (Some((mark, _)), None) | (None, Some((mark, _))) => SyncPointState::Half(mark),
        (Some((one, first)), Some((other, second))) => {
            SyncPointState::Whole(if first > second { one } else { other })
        }
    }
}

/// Looks at the file of a log. One that the disk cannot read is as good as none; something else in its place is an error.
pub(super) fn read<S: Storage>(storage: &S) -> io::Result<SyncPointState> {
    let file = match storage.open(NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(SyncPointState::Missing),
        Err(error) => return Err(error),
    };
    let (size, bytes_max) = (file.size()?, FILE_BYTES as u64);
    if size > bytes_max {
        return Err(Misplaced::Long { bytes: size, bytes_max }.into());
    }
    let mut bytes = vec![0; size.min(BOTH as u64) as usize];
    match file.read_at(&mut bytes, 0) {
        Ok(()) => Ok(seen(&bytes)),
        Err(_) => Ok(SyncPointState::Unreadable),
    }
}

/// The file's bytes for a copy of a log that ends in order.
pub(super) fn bytes_of(mark: &SyncPoint) -> Vec<u8> {
    let mut bytes = Slots::of(mark, 0).bytes.to_vec();
    bytes.resize(FILE_BYTES, 0);
    bytes
}

/// The file, as the log's owner writes it.
pub(super) struct Synced<F> {
    /// None where there was no room to make it.
    file: Option<F>,
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    mark: SyncPoint,
    slots: Slots,
}

impl<F: StorageFile> Synced<F> {
    /// Takes the log over from whoever had it before: from then on that one acknowledges nothing. On disk when it returns.
    ///
    /// In place, so that another owner sees it. A file that is not there or not whole is made anew; on a disk that has no
    /// room for it the log is opened without.
    pub(super) fn take<S: Storage<File = F>>(
        storage: &S,
        before: SyncPointState,
        mark: SyncPoint,
    ) -> Result<Self, LogError> {
        let path = storage.path().join(NAME);
        let failed = |action, source| LogError::Io { action, file: path.clone(), source };
        let (file, slots) = match before {
            SyncPointState::Whole(_) => {
                let file = storage.open(NAME).map_err(|error| failed("open", error))?;
                let mut bytes = [0; BOTH];
                file.read_at(&mut bytes, 0).map_err(|error| failed("read", error))?;
                if seen(&bytes) != before {
                    return Err(LogError::Fenced);
                }
                let count =
                    [0, SLOT_BYTES].iter().filter_map(|from| decode(&bytes[*from..])).map(|(_, count)| count);
                let mut slots = Slots { bytes, count: count.max().unwrap_or(0) };
                for _ in 0..2 {
                    let range = slots.write(&mark);
                    let written = file.write_at(&slots.bytes[range.clone()], range.start as u64);
                    written.map_err(|error| failed("write", error))?;
                }
                file.sync_data().map_err(|error| failed("sync", error))?;
                (Some(file), slots)
            }
            SyncPointState::Missing | SyncPointState::Unreadable | SyncPointState::Half(_) => {
                let slots = Slots::of(&mark, 0);
                match make(storage, &mark) {
                    Ok(file) => (Some(file), slots),
                    Err(error) if durable::is_full(&error) => {
                        tracing::warn!(file = %path.display(), %error, "no room for the file that tells what is on disk: made at a later start");
                        (None, slots)
                    }
                    Err(error) => return Err(failed("make", error)),
                }
            }
        };
        Ok(Self { file, path, state: Mutex::new(State { mark, slots }) })
    }

    /// None at all: of a log that has no segments and gets none.
    pub(super) fn nowhere(storage: &impl Storage<File = F>) -> Self {
        let (mark, path) = (SyncPoint::default(), storage.path().join(NAME));
        Self { file: None, path, state: Mutex::new(State { mark, slots: Slots::of(&mark, 0) }) }
    }

    /// Tells the file of a change, without a sync. Fails if somebody else has taken the log over.
    pub(super) fn update(&self, change: impl FnOnce(&mut SyncPoint)) -> Result<(), LogError> {
        let mut state = self.lock();
        change(&mut state.mark);
        let Some(file) = &self.file else { return Ok(()) };
        let mut there = [0; BOTH];
        let is_there = file
            .read_cached_at(&mut there, 0)
            .and_then(|cached| if cached { Ok(()) } else { file.read_at(&mut there, 0) });
        is_there.map_err(|error| self.failed("read", error))?;
        if there != state.slots.bytes && is_others(&there, state.mark.owner) {
            return Err(LogError::Fenced);
        }
        let State { mark, slots } = &mut *state;
        let range = slots.write(mark);
        file.write_at(&slots.bytes[range.clone()], range.start as u64)
            .map_err(|error| self.failed("write", error))
    }

    /// Makes what it was told last.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data().map_err(|error| self.failed("sync", error)))
    }

    /// What it says.
    pub(super) fn sync_point(&self) -> SyncPoint {
        self.lock().mark
    }

    fn failed(&self, action: &'static str, source: io::Error) -> LogError {
        LogError::Io { action, file: self.path.clone(), source }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic left half changed was written by nobody.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another owner wrote one of the slots; one that cannot be read is nobody's.
fn is_others(slots: &[u8], owner: u64) -> bool {
    [0, SLOT_BYTES].iter().filter_map(|from| decode(&slots[*from..])).any(|(mark, _)| mark.owner != owner)
}

/// Makes the file, whole or not at all. It has its block from the beginning, so that a full disk takes what it is told.
fn make<S: Storage>(storage: &S, mark: &SyncPoint) -> io::Result<S::File> {
    let made = storage.create(UNFINISHED).and_then(|file| {
        file.write_at(&bytes_of(mark), 0)?;
        file.sync_data()?;
        storage.rename(UNFINISHED, NAME)?;
        storage.sync_folder()?;
        Ok(file)
    });
    if made.is_err() {
        // Half of one takes room and is of no use.
        let _ = storage.remove(UNFINISHED);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::simulated::Simulated;

    const MARK: SyncPoint =
        SyncPoint { log: 3, owner: 4, first_frame: 5, next_frame: 60, epoch: 7, end: 800, closed: false };

    fn taken(disk: &Simulated) -> Synced<crate::log::disk::simulated::SimulatedFile> {
        Synced::take(disk, read(disk).unwrap(), MARK).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_it_was_told_last_is_read_whichever_slot_it_is_in() {
        let disk = Simulated::default();
        assert_eq!(read(&disk).unwrap(), SyncPointState::Missing);
        let synced = taken(&disk);
        for next_frame in 60..65 {
            synced.update(|mark| mark.next_frame = next_frame).unwrap();
            assert_eq!(read(&disk).unwrap(), SyncPointState::Whole(SyncPoint { next_frame, ..MARK }));
        }
    }

    #[test]
    fn with_one_bit_changed_it_tells_of_nothing_that_was_not_on_disk() {
        let disk = Simulated::default();
        let synced = taken(&disk);
        synced.update(|mark| mark.next_frame = 61).unwrap();
        for bit in (0..FIELDS * 8).chain(SLOT_BYTES * 8..BOTH * 8) {
            let copy = disk.after_kill();
            let mut bytes = copy.bytes_of(NAME);
            bytes[bit / 8] ^= 1 << (bit % 8);
            copy.put(NAME, bytes);
            let SyncPointState::Half(mark) = read(&copy).unwrap() else { panic!("bit {bit}") };
            assert!(mark.next_frame <= 61 && mark.log == 3, "bit {bit}");
        }
        disk.put(NAME, vec![0; FILE_BYTES]);
        assert_eq!(read(&disk).unwrap(), SyncPointState::Unreadable);
        disk.put(NAME, Vec::new());
        assert_eq!(read(&disk).unwrap(), SyncPointState::Unreadable);
    }

    #[test]
    fn who_was_taken_over_is_told_so_at_its_next_sync() {
        let disk = Simulated::default();
        let first = taken(&disk);
        first.update(|mark| mark.next_frame = 61).unwrap();
        let second =
            Synced::take(&disk, read(&disk).unwrap(), SyncPoint { owner: 9, ..first.sync_point() }).unwrap();
        assert!(matches!(first.update(|mark| mark.next_frame = 62), Err(LogError::Fenced)));
        second.update(|mark| mark.next_frame = 63).unwrap();
        assert_eq!(read(&disk).unwrap(), SyncPointState::Whole(second.sync_point()));
    }

    #[test]
    fn a_start_that_meets_another_one_gives_way() {
        let disk = Simulated::default();
        let first = taken(&disk);
        let before = read(&disk).unwrap();
        first.update(|mark| mark.next_frame = 61).unwrap();
        assert!(matches!(Synced::take(&disk, before, SyncPoint { owner: 9, ..MARK }), Err(LogError::Fenced)));
    }
}
