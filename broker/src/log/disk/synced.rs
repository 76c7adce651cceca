//! The file `synced` beside a log's segments records which frames are known to be on disk. `docs/disk-format.md` has
//! its bytes.
//!
//! The end of a log cannot show that the log was longer before. So after each sync of the log, this file is updated
//! with the frames that are on disk, without a sync of its own, which would double the cost. It survives a killed
//! process exactly. After a power cut it may lag behind, but it is never ahead. It is synced when a segment is started
//! or freed, and when the log is closed.
//!
//! It also separates two brokers that both use the log because somebody removed the lock file. Each start writes a
//! random owner number. A broker that finds another owner here acknowledges nothing any more.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::storage::{Storage, StorageFile};
use crate::{
    files::{Misplaced, durable},
    log::LogError,
};

pub(super) const NAME: &str = "synced";
/// The temporary name of a new file.
const UNFINISHED: &str = "synced.tmp";
pub(super) const FILE_BYTES: usize = 4096;
/// A sector of common disks, which they write completely or not at all.
const SLOT_BYTES: usize = 512;
const FIELDS: usize = 80;
/// The range from the first slot to the end of the second.
const BOTH: usize = SLOT_BYTES + FIELDS;
const MAGIC: &[u8; 8] = b"RESTSYNC";
const VERSION: u32 = 1;

/// The content of the file `synced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SyncPoint {
    /// The log's id.
    pub(super) log: u64,
    /// The owner number of the start that wrote this.
    pub(super) owner: u64,
    /// Frames with lower numbers may have been freed.
    pub(super) first_frame: u64,
    /// Frames with lower numbers are on disk.
    pub(super) next_frame: u64,
    /// The segment with the last of these frames.
    pub(super) epoch: u64,
    /// The end of that frame in its segment.
    pub(super) end: u64,
    /// Whether the log was closed, and therefore has no other frames.
    pub(super) closed: bool,
}

/// The part of the log that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnDisk {
    /// Frames with lower numbers are on disk.
    pub(super) next_frame: u64,
    /// The segment with the last of these frames, and the end of that frame.
    pub(super) at: (u64, u64),
}

impl SyncPoint {
    /// Extends the sync point, if this is more.
    pub(super) fn reach(&mut self, OnDisk { next_frame, at: (epoch, end) }: OnDisk) {
        if next_frame > self.next_frame {
            (self.next_frame, self.epoch, self.end) = (next_frame, epoch, end);
        }
    }
}

/// The state of the file `synced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncPointState {
    Missing,
    /// Both slots are damaged.
    Unreadable,
    /// One slot is damaged, and the intact one may be the older. Its frames were on disk; its other fields may be
    /// outdated.
    Half(SyncPoint),
    /// Both slots are intact.
    Whole(SyncPoint),
}

impl SyncPointState {
    /// The id of its log, if it is readable.
    pub(super) fn log(self) -> Option<u64> {
        match self {
            Self::Half(mark) | Self::Whole(mark) => Some(mark.log),
            Self::Missing | Self::Unreadable => None,
        }
    }

    /// The range of the frames that must exist; the first one is not always known.
    pub(super) fn frames(self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Whole(mark) => (Some(mark.first_frame), Some(mark.next_frame)),
            Self::Half(mark) => (None, Some(mark.next_frame)),
            Self::Missing | Self::Unreadable => (None, None),
        }
    }

    /// The end of the log, if its last owner closed it.
    pub(super) fn closed_at(self) -> Option<u64> {
        match self {
            Self::Whole(mark) if mark.closed => Some(mark.next_frame),
            _ => None,
        }
    }

    /// The segment with the last frame.
    pub(super) fn epoch(self) -> Option<u64> {
        match self {
            Self::Half(mark) | Self::Whole(mark) => Some(mark.epoch),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

/// The bytes of both slots, and the number of writes.
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

    /// Writes the slot whose turn it is. Returns its range.
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

/// Decodes the bytes of both slots.
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

/// Reads the file of a log. An unreadable file counts as damaged; anything else in its place is an error.
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

/// The bytes of a file `synced` for the copy of a closed log.
pub(super) fn bytes_of(mark: &SyncPoint) -> Vec<u8> {
    let mut bytes = Slots::of(mark, 0).bytes.to_vec();
    bytes.resize(FILE_BYTES, 0);
    bytes
}

/// The open file `synced` of the log's owner.
pub(super) struct Synced<F> {
    /// Nothing if the disk had no room to create it.
    file: Option<F>,
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    mark: SyncPoint,
    slots: Slots,
}

impl<F: StorageFile> Synced<F> {
    /// Takes over the log from its previous owner, which acknowledges nothing from then on. Durable when this returns.
    ///
    /// The file is written in place, so that the other owner notices. A missing or damaged file is created again. On a
    /// full disk the log is opened without the file.
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
                        tracing::warn!(file = %path.display(), %error, "no room for the file that records which frames are on disk: a later start creates it");
                        (None, slots)
                    }
                    Err(error) => return Err(failed("create", error)),
                }
            }
        };
        Ok(Self { file, path, state: Mutex::new(State { mark, slots }) })
    }

    /// A value without a file, for a log that has no segments and gets none.
    pub(super) fn without_file(storage: &impl Storage<File = F>) -> Self {
        let (mark, path) = (SyncPoint::default(), storage.path().join(NAME));
        Self { file: None, path, state: Mutex::new(State { mark, slots: Slots::of(&mark, 0) }) }
    }

    /// Updates the file without a sync. Fails if another owner has taken over the log.
    pub(super) fn update(&self, change: impl FnOnce(&mut SyncPoint)) -> Result<(), LogError> {
        let mut state = self.lock();
        change(&mut state.mark);
        let Some(file) = &self.file else { return Ok(()) };
        let mut there = [0; BOTH];
        let is_there = file
            .read_cached_at(&mut there, 0)
            .and_then(|cached| if cached { Ok(()) } else { file.read_at(&mut there, 0) });
        is_there.map_err(|error| self.failed("read", error))?;
        if there != state.slots.bytes && has_other_owner(&there, state.mark.owner) {
            return Err(LogError::Fenced);
        }
        let State { mark, slots } = &mut *state;
        let range = slots.write(mark);
        file.write_at(&slots.bytes[range.clone()], range.start as u64)
            .map_err(|error| self.failed("write", error))
    }

    /// Makes the last update durable.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data().map_err(|error| self.failed("sync", error)))
    }

    /// The current sync point.
    pub(super) fn sync_point(&self) -> SyncPoint {
        self.lock().mark
    }

    fn failed(&self, action: &'static str, source: io::Error) -> LogError {
        LogError::Io { action, file: self.path.clone(), source }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in between has written nothing, so the state is still usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a slot belongs to another owner. A damaged slot belongs to nobody.
fn has_other_owner(slots: &[u8], owner: u64) -> bool {
    [0, SLOT_BYTES].iter().filter_map(|from| decode(&slots[*from..])).any(|(mark, _)| mark.owner != owner)
}

/// Creates the file atomically. Its block is allocated at once, so that updates also work on a full disk.
fn make<S: Storage>(storage: &S, mark: &SyncPoint) -> io::Result<S::File> {
    let made = storage.create(UNFINISHED).and_then(|file| {
        file.write_at(&bytes_of(mark), 0)?;
        file.sync_data()?;
        storage.rename(UNFINISHED, NAME)?;
        storage.sync_folder()?;
        Ok(file)
    });
    if made.is_err() {
        // A part of the file is useless and takes up space.
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

    fn acquired(disk: &Simulated) -> Synced<crate::log::disk::simulated::SimulatedFile> {
        Synced::take(disk, read(disk).unwrap(), MARK).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_last_update_is_read_from_either_slot() {
        let disk = Simulated::default();
        assert_eq!(read(&disk).unwrap(), SyncPointState::Missing);
        let synced = acquired(&disk);
        for next_frame in 60..65 {
            synced.update(|mark| mark.next_frame = next_frame).unwrap();
            assert_eq!(read(&disk).unwrap(), SyncPointState::Whole(SyncPoint { next_frame, ..MARK }));
        }
    }

    #[test]
    fn with_one_changed_bit_the_file_never_claims_more_than_was_on_disk() {
        let disk = Simulated::default();
        let synced = acquired(&disk);
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
    fn a_replaced_owner_notices_at_its_next_update() {
        let disk = Simulated::default();
        let first = acquired(&disk);
        first.update(|mark| mark.next_frame = 61).unwrap();
        let second =
            Synced::take(&disk, read(&disk).unwrap(), SyncPoint { owner: 9, ..first.sync_point() }).unwrap();
        assert!(matches!(first.update(|mark| mark.next_frame = 62), Err(LogError::Fenced)));
        second.update(|mark| mark.next_frame = 63).unwrap();
        assert_eq!(read(&disk).unwrap(), SyncPointState::Whole(second.sync_point()));
    }

    #[test]
    fn a_start_gives_way_to_another_one_at_the_same_time() {
        let disk = Simulated::default();
        let first = acquired(&disk);
        let before = read(&disk).unwrap();
        first.update(|mark| mark.next_frame = 61).unwrap();
        assert!(matches!(Synced::take(&disk, before, SyncPoint { owner: 9, ..MARK }), Err(LogError::Fenced)));
    }
}
