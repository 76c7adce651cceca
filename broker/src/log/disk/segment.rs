//! Segment files: fixed in size, written with zeros before their use, and used again.
//!
//! A file begins with a head of 4096 bytes, of which zeros follow the fields; all numbers are little-endian. Frames follow
//! the head. A head of zeros is that of a spare.
//!
//! | bytes | field |
//! |---|---|
//! | 0–8 | `RESTLOG1` |
//! | 8–12 | version of the format, `u32`: 2 |
//! | 12–16 | crc32c over bytes 0–12 and 16–56, `u32` |
//! | 16–24 | epoch, `u64`: rises by one with each use of a segment, over the whole log |
//! | 24–32 | number of the first frame, `u64`: frames of earlier epochs with this number or a higher one are void |
//! | 32–40 | mark, `u64`: random; each frame of this use of the segment has it |
//! | 40–48 | bytes of the file, `u64`: one that has fewer was cut short |
//! | 48–56 | id of the log, `u64`: random; all its segments have it, and the file [`synced`](super::synced) |

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    SEGMENT_BYTES_MAX,
    readers::Reads,
    storage::{Storage, StorageFile},
};
use crate::data_folder::Misplaced;

/// Bytes before the first frame: one block of common disks, so that the head is written alone.
pub(super) const HEAD_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"RESTLOG1";
/// 1 had neither the file's length nor the log's id; only builds before the first release wrote it.
pub(super) const VERSION: u32 = 2;
/// Bytes of the head's fields: within one sector, which a disk writes whole or not at all.
pub(super) const FIELDS: usize = 56;
/// What a spare is written with: it stays in the processor's cache.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// How much of a spare is synced at once.
const SYNCED_BYTES: u64 = 1 << 20;

/// What the head of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Rises by one with each use of a segment, over the whole log.
    pub(super) epoch: u64,
    /// The number of its first frame. Frames of earlier epochs with this number or a higher one are void.
    pub(super) first_frame: u64,
    /// What its frames are known by: random, so that nothing else in its blocks can be taken for one.
    pub(super) mark: u64,
    /// Bytes of its file.
    pub(super) bytes: u64,
    /// The log that it is of.
    pub(super) log: u64,
}

/// What a file's head turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// In use.
    Segment(Head),
    /// Zeros: ready for use.
    Spare,
    /// Neither. No power cut leaves this, because the fields lie in one sector.
    Damaged,
    /// Written by another version, or damaged where it tells by which.
    Other(u32),
}

impl Head {
    pub(super) fn write(&self, file: &impl StorageFile) -> io::Result<()> {
        file.write_at(&self.encode(), 0)?;
        file.sync_data()
    }

    pub(super) fn encode(&self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.mark.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.log.to_le_bytes());
        let crc = checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

fn checksum(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[0..12]), &head[16..FIELDS])
}

pub(super) fn read_head(file: &impl StorageFile) -> io::Result<FileKind> {
    if file.size()? < HEAD_BYTES {
        return Ok(FileKind::Damaged);
    }
    let mut bytes = [0; FIELDS];
    file.read_at(&mut bytes, 0)?;
    Ok(parse_head(&bytes))
}

/// What these fields of a head tell.
pub(super) fn parse_head(bytes: &[u8; FIELDS]) -> FileKind {
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    if *bytes == [0; FIELDS] {
        return FileKind::Spare;
    }
    if &bytes[0..8] != MAGIC {
        return FileKind::Damaged;
    }
    // Before the checksum, which another version may make in another way.
    if u32_at(8) != VERSION {
        let version = u32_at(8);
        return match is_damaged_version(bytes, version) {
            true => FileKind::Damaged,
            false => FileKind::Other(version),
        };
    }
    if checksum(bytes) != u32_at(12) {
        return FileKind::Damaged;
    }
    FileKind::Segment(Head {
        epoch: u64_at(16),
        first_frame: u64_at(24),
        mark: u64_at(32),
        bytes: u64_at(40),
        log: u64_at(48),
    })
}

/// Whether a head that names another version is rather one of this version, damaged just there: with this version's number
/// its checksum matches, or the number is none that any version will have soon.
fn is_damaged_version(head: &[u8; FIELDS], version: u32) -> bool {
    let mut fields = *head;
    let crc = u32::from_le_bytes(std::array::from_fn(|index| fields[12 + index]));
    fields[8..12].copy_from_slice(&VERSION.to_le_bytes());
    !(1..1 << 8).contains(&version) || checksum(&fields) == crc
}

/// A file in use or ready for it.
#[derive(Debug)]
pub(super) struct SegmentFile<F> {
    pub(super) name: String,
    pub(super) file: F,
    pub(super) bytes: u64,
    pub(super) reads: Reads,
    /// Where contents of messages are gone, as far as somebody was told: by the segment's number and the frame's place.
    warned: Mutex<BTreeSet<(u64, u64)>>,
}

impl<F> SegmentFile<F> {
    pub(super) fn new(name: String, file: F, bytes: u64) -> Self {
        Self { name, file, bytes, reads: Reads::default(), warned: Mutex::default() }
    }

    /// Tells that contents of messages are gone in the frame that begins there, and nothing else: once, however often the segment is
    /// read.
    pub(super) fn warn_of_partial(&self, folder: &Path, epoch: u64, offset: u64) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert((epoch, offset)) {
            tracing::warn!(
                file = %folder.join(&self.name).display(),
                offset,
                "messages here cannot be read, or are not what was written: each is set aside when it is asked for"
            );
        }
    }
}

impl<F: StorageFile> SegmentFile<F> {
    /// All of it.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.bytes as usize];
        self.file.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// A segment's file, and its length.
pub(super) fn open<S: Storage>(storage: &S, name: &str) -> io::Result<(S::File, u64)> {
    let file = storage.open(name)?;
    let bytes = file.size()?;
    if bytes > SEGMENT_BYTES_MAX {
        return Err(Misplaced::Long { bytes, bytes_max: SEGMENT_BYTES_MAX }.into());
    }
    Ok((file, bytes))
}

/// The name of a segment's file.
pub(super) fn name(number: u64) -> String {
    format!("{number:08}.seg")
}

/// The number in a file's name.
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// Makes a spare: zeros, so that later writes convert no extents and need no new blocks. As soon as somebody is in a `hurry`
/// the rest is only reserved: a segment that is slower to sync is better than none.
pub(super) fn make_spare<S: Storage>(
    storage: &S,
    number: u64,
    bytes: u64,
    hurry: &AtomicBool,
) -> io::Result<SegmentFile<S::File>> {
    let (name, unfinished) = (name(number), format!("{number:08}.tmp"));
    let made = (|| {
        let file = storage.create(&unfinished)?;
        let mut offset = 0;
        while offset < bytes {
            if hurry.load(Relaxed) && file.allocate(bytes).is_ok() {
                file.sync_data()?;
                break;
            }
            let length = ZEROS.len().min((bytes - offset) as usize);
            file.write_at(&ZEROS[..length], offset)?;
            offset += length as u64;
            // By and by: a sync of the log's then waits for a piece at most, and not for the whole file.
            if offset.is_multiple_of(SYNCED_BYTES) || offset == bytes {
                file.sync_data()?;
            }
        }
        // Whoever was let in beside this broker counts files as well: none of its segments is replaced.
        storage.is_ours()?;
        if storage.open(&name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        storage.rename(&unfinished, &name)?;
        storage.sync_folder()?;
        Ok(file)
    })();
    match made {
        Ok(file) => Ok(SegmentFile::new(name, file, bytes)),
        Err(error) => {
            // What could not be made must not take the room of what can.
            let _ = storage.remove(&unfinished);
            Err(error)
        }
    }
}

/// Writes zeros over a part of a file.
pub(super) fn write_zeros(file: &impl StorageFile, mut from: u64, to: u64) -> io::Result<()> {
    while from < to {
        let length = (ZEROS.len() as u64).min(to - from);
        file.write_at(&ZEROS[..length as usize], from)?;
        from += length;
    }
    Ok(())
}

/// Makes a used file a spare again. Synced, so that no restart takes it for a segment once a later one is freed as well.
pub(super) fn blank<F: StorageFile>(segment: &SegmentFile<F>) -> io::Result<()> {
    segment.file.write_at(&[0; HEAD_BYTES as usize], 0)?;
    segment.file.sync_data()
}
